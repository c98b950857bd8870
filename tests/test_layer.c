/* Every implementation as a layer y = phi(x * w + b): its passes with bias and activation against the definition in double
 * and against oneDNN's own, judged by the harness (check.h) as in a study. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST = 64 << 20 }; /* bytes of a runner */

/* In turn every activation and bias that add something to the pass. */
static struct conv_layer layer_of(enum conv_tensor output, int i)
{
    switch (output) {
    case CONV_SRC: return (struct conv_layer){i % 2, ACTIVATION_RELU + i % (ACTIVATIONS - 1)};
    case CONV_WEI: return (struct conv_layer){true, i % ACTIVATIONS};
    default: return (struct conv_layer){i % ACTIVATIONS == 0 || i % 2, i % ACTIVATIONS};
    }
}

/* What fills up the last block of a native dst is zero after phi as before: exported and imported again, it is the same. */
static void assert_padding_is_zero(struct runner *runner, const struct trial *trial)
{
    const size_t bytes = runner->plan.bytes[CONV_DST];
    if (!runner->impl->import)
        return;
    float *again = take(bytes);
    runner->impl->import(&runner->plan, CONV_DST, runner_export(runner), again);
    if (memcmp(again, runner->tensor[CONV_DST], bytes))
        trial_fail(trial, "the padding of the native dst is not zero");
}

static void check_kind(struct runner *runner, const struct trial *trial, enum fill fill)
{
    const struct data *data = runner->data;
    const struct study study = {.layer = data->layer};
    const struct layer layer = {.problem = data->problem, .multiplicity = 1};
    struct point point = point_of(&study, &layer, data->output, runner->impl);
    struct truth truth;
    assert_true(truth_find(&truth, data, fill));
    data_fill(data, fill);
    if (!check_runner(runner, &truth, &point) || *truth.note)
        trial_fail(trial, "--act=%s%s: %s", point.act, point.bias ? " --bias" : "", point.reason);
    if (fill == FILL_REAL && data->output == CONV_DST)
        assert_padding_is_zero(runner, trial);
    truth_free(&truth);
}

static bool check_layer(const struct trial *trial, const struct conv_layer *layer)
{
    struct page page = {0};
    struct data data = {.problem = trial->problem,
                        .output = trial->output,
                        .threads = trial->threads,
                        .isa = trial->isa,
                        .layer = *layer,
                        .seed = test_seed(),
                        .page = &page};
    struct runner runner;
    assert_true(data_alloc(&data));
    bool can = !runner_plan(&runner, &data, trial->impl, 0);
    if (can && runner_footprint(&runner, 0) > LARGEST) {
        conv_plan_destroy(trial->impl, &runner.plan);
        can = false;
    } else if (can) {
        assert_true(conv_beside_bytes(&runner.plan) || trial->output == CONV_DST);
        assert_true(runner_alloc(&runner, 0, 0));
        check_kind(&runner, trial, FILL_EXACT);
        check_kind(&runner, trial, FILL_TAPS);
        check_kind(&runner, trial, FILL_REAL);
        runner_free(&runner);
    }
    data_free(&data);
    return can;
}

/* Pixels that no tap reaches, which are bias alone, beside others in a tile of Winograd's, whose rounding they share. */
static const struct conv_problem bias_alone = {.g = 1,
                                               .mb = 2,
                                               .ic = 32,
                                               .ih = 23,
                                               .iw = 15,
                                               .oc = 32,
                                               .oh = 11,
                                               .ow = 8,
                                               .kh = 3,
                                               .kw = 3,
                                               .sh = 2,
                                               .sw = 2,
                                               .pw = 3};

static void test_layer(void **state)
{
    const struct subject *s = *state;
    const int count = test_count(30);
    uint64_t random = test_seed();
    int ran = 0;
    for (int i = 0; i < count; i++) {
        const size_t mark = take_mark();
        const struct trial trial = {.impl = s->impl,
                                    .problem = i ? problem_random(&random) : bias_alone,
                                    .output = s->output,
                                    .threads = 1 + i % 3,
                                    .isa = s->isa};
        const struct conv_layer layer = layer_of(s->output, i);
        ran += check_layer(&trial, &layer);
        take_back(mark);
    }
    subject_finish(s, ran, count);
}

int main(void)
{
    return run_over_registry("layer", test_layer, true);
}
