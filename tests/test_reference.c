/* Every implementation x pass x instruction set against the definition, on random problems: integers bit for bit
 * where the implementation is exact, reals within its bound. SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <omp.h>
#include <stdlib.h>

enum kind { INTEGERS, REALS, KINDS };

/* A problem with data and truth, made once for all implementations. */
struct example {
    struct conv_problem problem;
    float *plain[KINDS][CONV_TENSORS];
    struct conv_element *truth[KINDS][CONV_TENSORS];
};

static struct example *examples;
static int example_count;

static void example_fill(struct example *e, struct random random)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const size_t n = conv_elements(&e->problem, t);
        e->plain[INTEGERS][t] = data_integers(&random, n, exact_limit(&e->problem, 1));
        e->plain[REALS][t] = data_reals(&random, n);
    }
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
            e->truth[kind][t] = truth_of(&e->problem, t, (const float *const *)e->plain[kind]);
}

static void make_examples(void)
{
    struct random random = {test_seed()};
    example_count = test_count(200);
    examples = calloc((size_t)example_count, sizeof *examples);
    if (!examples)
        abort();
    for (int i = 0; i < example_count; i++)
        examples[i].problem = problem_random(&random);
    const uint64_t seed = random.state;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < example_count; i++)
        example_fill(&examples[i], (struct random){seed + (uint64_t)i});
}

static void free_examples(void)
{
    for (int i = 0; i < example_count; i++)
        for (enum kind kind = 0; kind < KINDS; kind++)
            for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
                free(examples[i].plain[kind][t]);
                free(examples[i].truth[kind][t]);
            }
    free(examples);
}

/* A test on outputs that are mostly zeros proves little: most outputs of the random problems are not. */
static void test_examples_are_telling(void **state)
{
    (void)state;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        double nonzero = 0, all = 0;
        for (int i = 0; i < example_count; i++) {
            const size_t n = conv_elements(&examples[i].problem, t);
            for (size_t k = 0; k < n; k++)
                nonzero += examples[i].truth[REALS][t][k].value != 0;
            all += (double)n;
        }
        print_message("           %s: %.0f %% of the outputs are not zero\n", conv_pass_name(t),
                      100 * nonzero / all);
        assert_true(nonzero >= 0.5 * all);
    }
}

static void test_against_definition(void **state)
{
    const struct subject *s = *state;
    int ran = 0;
    for (int i = 0; i < example_count; i++) {
        const struct example *e = &examples[i];
        const struct trial trial = {s->impl, e->problem, s->output, 1 + i % 3, s->isa, AT_END};
        float *result = malloc(conv_elements(&e->problem, s->output) * sizeof *result);
        for (enum kind kind = 0; result && kind < KINDS; kind++)
            if (trial_run(&trial, (const float *const *)e->plain[kind], result)) {
                assert_agrees(&trial, result, e->truth[kind][s->output], kind == INTEGERS && s->impl->exact);
                ran += kind == REALS;
            }
        free(result);
    }
    subject_finish(s, ran, example_count);
}

int main(void)
{
    const struct CMUnitTest examples_test[] = {cmocka_unit_test(test_examples_are_telling)};
    make_examples();
    int failures = cmocka_run_group_tests(examples_test, NULL, NULL) +
                   run_over_registry("definition", test_against_definition, true);
    free_examples();
    return failures;
}
