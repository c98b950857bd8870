/* A weight that is wrong by 1 + 1e-4, in one tap of all channels or everywhere, is caught by `tripass check` itself, for every
 * implementation, pass and instruction set: on the data that show each tap by itself (FILL_TAPS), where rounding is far
 * below that. Right implementations pass on all kinds of data. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "problem_string.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

static const char *const problems[] = {"mb2ic4ih12oc4kh3ph1", "mb2ic16ih10oc16kh3ph1", "ic64mb1ih9oc64kh3ph1",
                                       "mb2ic8ih20oc8kh3sh2ph1", "g16mb2ic16ih14oc16kh3sh2ph1"};
enum { PROBLEMS = sizeof problems / sizeof *problems, RIGHT = -1, EVERY_TAP = -2 };
static const float FACTOR = 1 + 1e-4F;

/* ---- an implementation whose weights are spoiled on their way in or out ---- */

static const struct conv_impl *original;
static int spoiled_tap; /* or RIGHT or EVERY_TAP */

static void spoil(const struct conv_problem *p, float *weights)
{
    const int taps = p->kh * p->kw;
    for (size_t i = 0; i < conv_elements(p, CONV_WEI); i++)
        if (spoiled_tap == EVERY_TAP || (int)(i % (size_t)taps) == spoiled_tap)
            weights[i] *= FACTOR;
}

static void spoiled_import(const struct conv_plan *plan, enum conv_tensor t, const float *plain,
                           float *native)
{
    const size_t mark = take_mark(), bytes = conv_elements(&plan->problem, t) * sizeof(float);
    float *copy = take(bytes);
    memcpy(copy, plain, bytes);
    if (t == CONV_WEI)
        spoil(&plan->problem, copy);
    if (original->import)
        original->import(plan, t, copy, native);
    else
        memcpy(native, copy, bytes);
    take_back(mark);
}

static void spoiled_export(const struct conv_plan *plan, enum conv_tensor t, const float *native,
                           float *plain)
{
    if (original->export)
        original->export(plan, t, native, plain);
    else
        memcpy(plain, native, conv_elements(&plan->problem, t) * sizeof(float));
    if (t == CONV_WEI)
        spoil(&plan->problem, plain);
}

/* ---- what is right, found once for all implementations ---- */

struct question {
    struct page page;
    struct data data;
    struct layer layer;
    struct truth truth[TRUTHS];
};
static struct question questions[PROBLEMS][CONV_TENSORS];

static void ask(struct question *q, const char *problem, enum conv_tensor output)
{
    char why[PROBLEM_STRING_MAX];
    assert_null(problem_string_parse(problem, &q->layer, why));
    q->data = (struct data){.problem = q->layer.problem,
                            .output = output,
                            .threads = 2,
                            .isa = isa_best(),
                            .seed = test_seed(),
                            .page = &q->page};
    assert_true(data_alloc(&q->data));
    for (int kind = 0; kind < TRUTHS; kind++)
        assert_true(truth_find(&q->truth[kind], &q->data, (enum fill)kind));
}

static void ask_all(void)
{
    for (int i = 0; i < PROBLEMS; i++)
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++)
            ask(&questions[i][output], problems[i], output);
}

/* Checks a runner on one kind of data, with some taps spoiled. */
static struct point judge(struct question *q, struct runner *runner, int kind, int spoiled)
{
    const struct study study = {.isa = q->data.isa};
    struct point point = point_of(&study, &q->layer, q->data.output, runner->impl);
    spoiled_tap = spoiled;
    data_fill(&q->data, q->truth[kind].fill);
    check_runner(runner, &q->truth[kind], &point);
    return point;
}

static void try_taps(struct question *q, struct runner *runner)
{
    for (int kind = 0; kind < TRUTHS; kind++) {
        const struct point point = judge(q, runner, kind, RIGHT);
        if (point.status != STATUS_OK)
            fail_msg("%s, right: %s", point.problem, point.reason);
    }
    for (int tap = EVERY_TAP; tap < 9; tap++) {
        const struct point point = judge(q, runner, FILL_TAPS, tap);
        if (tap != RIGHT && point.status != STATUS_FAIL)
            fail_msg("%s: tap %d off by 1e-4 is OK", point.problem, tap);
    }
}

static void test_taps(void **state)
{
    const struct subject *s = *state;
    struct conv_impl impl = *s->impl;
    int ran = 0;
    original = s->impl;
    impl.import = spoiled_import;
    impl.export = spoiled_export;
    for (int i = 0; i < PROBLEMS; i++) {
        struct question *q = &questions[i][s->output];
        struct runner runner;
        q->data.isa = s->isa;
        if (runner_plan(&runner, &q->data, &impl, 0))
            continue;
        assert_true(runner_alloc(&runner, 0, 0));
        try_taps(q, &runner);
        runner_free(&runner);
        ran++;
    }
    subject_finish(s, ran, PROBLEMS);
}

int main(void)
{
    ask_all();
    const int failures = run_over_registry("taps", test_taps, true);
    for (int i = 0; i < PROBLEMS; i++)
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
            for (int kind = 0; kind < TRUTHS; kind++)
                truth_free(&questions[i][output].truth[kind]);
            data_free(&questions[i][output].data);
        }
    take_back(0);
    return failures;
}
