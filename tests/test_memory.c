/* What the contract says about memory: nothing outside the buffers is touched, inputs stay as they are (their pages are
 * read-only during run), every element of the output is written (native padding too), scratch may hold anything, a run over
 * an old output equals a first one, and export undoes import. SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

static void assert_written(const struct rig *rig)
{
    const struct buffer *output = &rig->tensor[rig->trial.output];
    const uint32_t *word = (const uint32_t *)output->data;
    for (size_t i = 0; i < output->bytes / sizeof *word; i++)
        if (word[i] == UINT32_MAX)
            trial_fail(&rig->trial, "did not write element %zu of its native output", i);
}

/* Three runs: on poison, on the output and the scratch of the first, and on other dirt. */
static bool check_runs(const struct trial *trial, const float *const plain[CONV_TENSORS])
{
    struct rig rig;
    if (rig_open(&rig, trial))
        return false;
    const struct buffer *output = &rig.tensor[trial->output];
    char *first = malloc(output->bytes);
    assert_non_null(first);
    rig_import(&rig, plain);
    rig_poison(&rig);
    rig_run(&rig);
    assert_written(&rig);
    memcpy(first, output->data, output->bytes);
    rig_run(&rig);
    if (memcmp(first, output->data, output->bytes))
        trial_fail(trial, "a run over an old output differs from the first");
    memset(output->data, 0x3F, output->bytes);
    memset(rig.scratch.data, 0x3F, rig.scratch.bytes);
    rig_run(&rig);
    if (memcmp(first, output->data, output->bytes))
        trial_fail(trial, "depends on what was in its output or scratch before");
    free(first);
    rig_close(&rig);
    return true;
}

/* Each tensor, the output too, to its native layout and back. */
static void check_layouts(const struct trial *trial, const float *const plain[CONV_TENSORS])
{
    if (!trial->impl->import || !trial->impl->export)
        return;
    struct rig rig;
    assert_null(rig_open(&rig, trial));
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const size_t bytes = conv_elements(&trial->problem, t) * sizeof(float);
        float *native = (float *)rig.tensor[t].data, *back = malloc(bytes);
        assert_non_null(back);
        memset(native, 0xFF, rig.tensor[t].bytes);
        memset(back, 0xFF, bytes);
        trial->impl->import(&rig.plan, t, plain[t], native);
        trial->impl->export(&rig.plan, t, native, back);
        if (memcmp(back, plain[t], bytes))
            trial_fail(trial, "tensor %d does not come back from its native layout", (int)t);
        free(back);
    }
    rig_close(&rig);
}

static void test_memory(void **state)
{
    const struct subject *s = *state;
    const int count = test_count(60);
    struct random random = {test_seed() + 1};
    int ran = 0;
    for (int i = 0; i < count; i++) {
        struct trial trial = {s->impl, problem_random(&random), s->output, 1 + i % 3, s->isa, AT_END};
        float *plain[CONV_TENSORS];
        for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
            plain[t] = data_reals(&random, conv_elements(&trial.problem, t));
        const float *const inputs[CONV_TENSORS] = {plain[0], plain[1], plain[2]};
        if (check_runs(&trial, inputs)) {
            trial.side = AT_START;
            check_runs(&trial, inputs);
            check_layouts(&trial, inputs);
            ran++;
        }
        for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
            free(plain[t]);
    }
    subject_finish(s, ran, count);
}

int main(void)
{
    return run_over_registry("memory", test_memory, true);
}
