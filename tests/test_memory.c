/* What the contract says about memory: nothing outside the buffers is touched, inputs stay as they are (their pages are
 * read-only during run), every element of the output is written (native padding too), scratch may hold anything, a run over
 * an old output equals a first one, and export undoes import. SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

static void assert_written(const struct rig *rig)
{
    const struct guarded *output = &rig->tensor[rig->trial.output];
    const uint32_t *word = (const uint32_t *)output->data;
    for (size_t i = 0; i < output->bytes / sizeof *word; i++)
        if (word[i] == UINT32_MAX)
            trial_fail(&rig->trial, "did not write element %zu of its native output", i);
}

/* What a native output has beyond the plain one is zero: exported and imported again, it is the same. */
static void assert_padding_is_zero(const struct rig *rig)
{
    const struct trial *trial = &rig->trial;
    const struct guarded *output = &rig->tensor[trial->output];
    if (!trial->impl->import)
        return;
    float *plain = take(conv_elements(&trial->problem, trial->output) * sizeof *plain);
    float *again = take(output->bytes);
    const float *native = (const float *)output->data;
    rig_export(rig, plain);
    trial->impl->import(&rig->plan, trial->output, plain, again);
    for (size_t i = 0; i < output->bytes / sizeof *native; i++)
        if (!(native[i] == again[i]))
            trial_fail(trial, "native output %zu is %g, not zero as padding should be", i, (double)native[i]);
}

/* Three runs: on poison, on the output and the scratch of the first, and on other dirt. */
static bool check_runs(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    struct rig rig;
    if (rig_open(&rig, trial))
        return false;
    const struct guarded *output = &rig.tensor[trial->output];
    char *first = take(output->bytes);
    rig_import(&rig, plain);
    rig_poison(&rig);
    rig_run(&rig);
    assert_written(&rig);
    assert_padding_is_zero(&rig);
    memcpy(first, output->data, output->bytes);
    rig_run(&rig);
    if (memcmp(first, output->data, output->bytes))
        trial_fail(trial, "a run over an old output differs from the first");
    memset(output->data, 0x3F, output->bytes);
    memset(rig.scratch.data, 0x3F, rig.scratch.bytes);
    rig_run(&rig);
    if (memcmp(first, output->data, output->bytes))
        trial_fail(trial, "depends on what was in its output or scratch before");
    rig_close(&rig);
    return true;
}

static bool check_memory(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    struct trial at_start = *trial;
    at_start.side = AT_START;
    return check_runs(trial, plain) && check_runs(&at_start, plain);
}

/* Each tensor, the output too, to its native layout and back. */
static bool check_layouts(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    struct rig rig;
    if (!trial->impl->import || rig_open(&rig, trial))
        return false;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const size_t bytes = conv_elements(&trial->problem, t) * sizeof(float);
        float *native = (float *)rig.tensor[t].data, *back = take(bytes);
        memset(native, 0xFF, rig.tensor[t].bytes);
        memset(back, 0xFF, bytes);
        trial->impl->import(&rig.plan, t, plain[t], native);
        trial->impl->export(&rig.plan, t, native, back);
        if (memcmp(back, plain[t], bytes))
            trial_fail(trial, "tensor %d does not come back from its native layout", (int)t);
    }
    rig_close(&rig);
    return true;
}

static void test_memory(void **state)
{
    subject_check(*state, check_memory, 40, 1);
}

static void test_layouts(void **state)
{
    subject_check(*state, check_layouts, 20, 1);
}

int main(void)
{
    return run_over_registry("memory", test_memory, true) + run_over_registry("layouts", test_layouts, false);
}
