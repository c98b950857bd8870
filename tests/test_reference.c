/* Every implementation x pass x instruction set against the definition, on random problems: integers bit for bit
 * where the implementation is exact, reals within its bound. SPDX-License-Identifier: Apache-2.0 */
#include "random.h"
#include "support.h"

enum { INTEGERS, REALS, KINDS };

/* An example with its truth, made once for all implementations. */
struct answer {
    struct example example;
    struct conv_element *truth[CONV_TENSORS];
};

static struct answer (*answers)[KINDS];
static int count;

static void make_answers(void)
{
    count = test_count(200);
    answers = take((size_t)count * sizeof *answers);
    uint64_t random = test_seed();
    for (int i = 0; i < count; i++) {
        answers[i][INTEGERS].example = example_random(&random, FILL_EXACT, 1);
        answers[i][REALS].example =
            example_make(&answers[i][INTEGERS].example.problem, FILL_REAL, 1, random_next(&random));
    }
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count * KINDS; i++) {
        struct answer *a = &answers[i / KINDS][i % KINDS];
        for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
            a->truth[t] = truth_of(&a->example.problem, t, a->example.plain);
    }
}

/* A test on outputs that are mostly zeros proves little: most outputs of the random problems are not. The zeros of a
 * backward pass with a large stride are many, so a handful of problems (valgrind) says nothing about the others. */
static void test_examples_are_telling(void **state)
{
    (void)state;
    if (count < 30)
        skip();
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        double nonzero = 0, all = 0;
        for (int i = 0; i < count; i++) {
            const struct answer *a = &answers[i][REALS];
            const size_t n = conv_elements(&a->example.problem, t);
            for (size_t k = 0; k < n; k++)
                nonzero += a->truth[t][k].value != 0;
            all += (double)n;
        }
        print_message("           %s: %.0f %% of the outputs are not zero\n", conv_pass_name(t),
                      100 * nonzero / all);
        assert_true(nonzero >= 0.5 * all);
    }
}

static void test_definition(void **state)
{
    const struct subject *s = *state;
    int ran = 0;
    for (int i = 0; i < count * KINDS; i++) {
        const size_t mark = take_mark();
        const struct answer *a = &answers[i / KINDS][i % KINDS];
        const struct trial trial = {.impl = s->impl,
                                    .problem = a->example.problem,
                                    .output = s->output,
                                    .threads = 1 + i / KINDS % 3,
                                    .isa = s->isa,
                                    .exact = s->impl->exact && i % KINDS == INTEGERS};
        float *result = take(conv_elements(&trial.problem, s->output) * sizeof *result);
        if (trial_run(&trial, a->example.plain, result)) {
            assert_agrees(&trial, result, a->truth[s->output]);
            ran++;
        }
        take_back(mark);
    }
    subject_finish(s, ran, count * KINDS);
}

int main(void)
{
    const struct CMUnitTest telling[] = {cmocka_unit_test(test_examples_are_telling)};
    make_answers();
    int failures =
        cmocka_run_group_tests(telling, NULL, NULL) + run_over_registry("definition", test_definition, true);
    take_back(0);
    return failures;
}
