/* What shows single mistakes: data with one product an output, and sums over all outputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "random.h"
#include "sums.h"
#include "support.h"

#include <math.h>

/* How many products of a pass are not zero behind an output, at the most and in all, with one input so sparse. */
static void count_products(const struct conv_problem *p, enum conv_tensor output, double *most, double *all)
{
    float *plain[CONV_TENSORS];
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const size_t n = conv_elements(p, t);
        plain[t] = take(n * sizeof(float));
        fill_tensor(plain[t], n, FILL_TAPS, 1, 7 + t, 1);
        if (t == fill_sparse(output))
            fill_isolate(plain[t], p, output, test_seed(), 2);
        for (size_t i = 0; i < n; i++) {
            assert_true(plain[t][i] == 0 || (fabsf(plain[t][i]) >= 0.75F && fabsf(plain[t][i]) <= 1));
            plain[t][i] = plain[t][i] != 0;
        }
    }
    *most = *all = 0;
    const struct conv_element *products = truth_of(p, output, plain);
    for (size_t i = 0; i < conv_elements(p, output); i++) {
        *most = fmax(*most, products[i].value);
        *all += products[i].value;
    }
}

static void taps_are_isolated(void **state)
{
    uint64_t random = test_seed();
    double shown = 0, most, all;
    (void)state;
    for (int i = 0; i < 200; i++) {
        const struct conv_problem problem = problem_random(&random);
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
            const size_t mark = take_mark();
            count_products(&problem, output, &most, &all);
            assert_true(most <= 1);
            shown += all > 0;
            take_back(mark);
        }
    }
    assert_true(shown > 0.8 * 600); /* of few pixels, all may meet padding or none a tap */
}

/* On integers, a sum is off by as much as an output is. */
static void sums_see_every_output(void **state)
{
    uint64_t random = test_seed();
    struct page page = {0};
    (void)state;
    for (int i = 0; i < 150; i++) {
        const size_t mark = take_mark();
        struct sums sums;
        struct sums_verdict verdict;
        struct data data = {
            .problem = problem_random(&random), .threads = 1 + i % 3, .seed = test_seed(), .page = &page};
        data.output = (enum conv_tensor)(i % CONV_TENSORS);
        data.layer.bias = i % 2 && data.output == CONV_DST;
        assert_true(data_alloc(&data));
        data_fill(&data, FILL_EXACT);
        float *const plain[] = {data.plain[0].data, data.plain[1].data, data.plain[2].data};
        const size_t n = conv_elements(&data.problem, data.output);
        const struct conv_element *truth = truth_of(&data.problem, data.output, plain);
        float *result = take(n * sizeof *result);
        const float *bias = data.beside.data;
        for (size_t k = 0; k < n; k++)
            result[k] = (float)truth[k].value +
                        (data.layer.bias
                             ? bias[k / (size_t)(data.problem.oh * data.problem.ow) % (size_t)data.problem.oc]
                             : 0);
        assert_true(sums_find(&sums, &data, SIZE_MAX / 2, i));
        assert_true(sums.count * sums.terms == n);
        assert_true(sums_compare(&sums, &data, result, 0, &verdict));
        assert_int_equal(verdict.wrong, 0);
        result[random_next(&random) % n] += 1;
        assert_true(sums_compare(&sums, &data, result, 0, &verdict));
        assert_true(verdict.wrong == 1 && fabs(verdict.off) == 1);
        sums_free(&sums);
        data_free(&data);
        take_back(mark);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taps_are_isolated),
        cmocka_unit_test(sums_see_every_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
