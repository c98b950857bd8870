/* The number of threads changes no result beyond rounding, repeated runs are equal to the bit, and so is the
 * same plan run by two threads of control at once. SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

/* Runs twice with the same thread count; the second result stays in `result`. */
static bool run_twice(const struct trial *trial, const float *const plain[CONV_TENSORS], float *result)
{
    const size_t bytes = conv_elements(&trial->problem, trial->output) * sizeof *result;
    float *first = malloc(bytes);
    assert_non_null(first);
    bool ran = trial_run(trial, plain, first) && trial_run(trial, plain, result);
    if (ran && memcmp(first, result, bytes))
        trial_fail(trial, "two runs differ");
    free(first);
    return ran;
}

static bool check_data(struct trial trial, const float *const plain[CONV_TENSORS], bool exact)
{
    static const int teams[] = {1, 2, 3, 5};
    struct conv_element *truth = truth_of(&trial.problem, trial.output, plain);
    float *result = malloc(conv_elements(&trial.problem, trial.output) * sizeof *result);
    bool ran = true;
    for (size_t i = 0; ran && i < sizeof teams / sizeof *teams; i++) {
        trial.threads = teams[i];
        ran = run_twice(&trial, plain, result);
        if (ran)
            assert_agrees(&trial, result, truth, exact);
    }
    free(result);
    free(truth);
    return ran;
}

static void test_threads(void **state)
{
    const struct subject *s = *state;
    const int count = test_count(60);
    struct random random = {test_seed() + 2};
    int ran = 0;
    for (int i = 0; i < count; i++) {
        struct trial trial = {
            .impl = s->impl, .problem = problem_random(&random), .output = s->output, .isa = s->isa};
        float *plain[CONV_TENSORS];
        for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
            size_t n = conv_elements(&trial.problem, t);
            plain[t] =
                i % 2 ? data_reals(&random, n) : data_integers(&random, n, exact_limit(&trial.problem, 1));
        }
        ran += check_data(trial, (const float *const *)plain, i % 2 == 0 && s->impl->exact);
        for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
            free(plain[t]);
    }
    subject_finish(s, ran, count);
}

int main(void)
{
    return run_over_registry("threads", test_threads, false);
}
