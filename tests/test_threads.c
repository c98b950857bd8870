/* The number of threads changes no result beyond rounding, runs of one plan are equal to the bit, and plans do not
 * disturb each other. SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

/* The result of a fresh run of a rig that holds its inputs. */
static float *run_again(struct rig *rig)
{
    float *result = take(conv_elements(&rig->trial.problem, rig->trial.output) * sizeof *result);
    rig_poison(rig);
    rig_run(rig);
    rig_export(rig, result);
    return result;
}

static void assert_same_run(const struct trial *trial, const float *first, const float *second)
{
    if (memcmp(first, second, conv_elements(&trial->problem, trial->output) * sizeof *first))
        trial_fail(trial, "two runs of one plan differ");
}

static bool check_threads(const struct trial *given, float *const plain[CONV_TENSORS])
{
    static const int teams[] = {1, 2, 3, 5};
    struct conv_element *truth = truth_of(&given->problem, given->output, plain);
    bool ran = true;
    for (size_t i = 0; ran && i < sizeof teams / sizeof *teams; i++) {
        struct trial trial = *given;
        trial.threads = teams[i];
        struct rig rig;
        ran = !rig_open(&rig, &trial);
        if (ran) {
            rig_import(&rig, plain);
            float *first = run_again(&rig), *second = run_again(&rig);
            assert_agrees(&trial, first, truth);
            assert_same_run(&trial, first, second);
            rig_close(&rig);
        }
    }
    return ran;
}

/* A plan that is made and run between two runs of another must not change it: nothing is static across problems. */
static bool check_interleaved(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    uint64_t random = conv_elements(&trial->problem, trial->output);
    struct example other = example_random(&random, FILL_REAL, 1);
    struct trial other_trial = *trial;
    other_trial.problem = other.problem;
    struct rig rig, other_rig;
    bool ran = !rig_open(&rig, trial);
    if (ran) {
        rig_import(&rig, plain);
        float *first = run_again(&rig);
        if (!rig_open(&other_rig, &other_trial)) {
            rig_import(&other_rig, other.plain);
            run_again(&other_rig);
            rig_close(&other_rig);
        }
        float *second = run_again(&rig);
        assert_same_run(trial, first, second);
        rig_close(&rig);
    }
    return ran;
}

static void test_threads(void **state)
{
    subject_check(*state, check_threads, 40, 1);
}

static void test_interleaved(void **state)
{
    subject_check(*state, check_interleaved, 20, 1);
}

int main(void)
{
    return run_over_registry("threads", test_threads, false) +
           run_over_registry("interleaved", test_interleaved, false);
}
