/* Order statistics against ranks worked out by hand and published ones. SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void known_ranks(void **state)
{
    /* n and the rank of the interval's lower end: exact binomial tables; Hoefler and Belli, SC 2015 */
    static const int known[][2] = {{1, 0},   {2, 0},   {5, 0},   {6, 1},   {7, 1},  {9, 2},
                                   {10, 2},  {11, 2},  {15, 4},  {20, 6},  {21, 6}, {25, 8},
                                   {30, 10}, {31, 10}, {50, 18}, {100, 40}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(stats_interval_rank(known[i][0]), known[i][1]);
}

/* P(Binomial(n, 1/2) < rank), summed from Pascal's triangle in double: exact up to n = 50. */
static double tail(int n, int rank)
{
    double row[64] = {1}, sum = 0;
    for (int i = 1; i <= n; i++)
        for (int k = i; k > 0; k--)
            row[k] += row[k - 1];
    for (int k = 0; k < rank; k++)
        sum += row[k];
    return ldexp(sum, -n);
}

static void ranks_cover(void **state)
{
    (void)state;
    for (int n = 1; n <= 50; n++) {
        int rank = stats_interval_rank(n);
        assert_true(rank == 0 || 1 - 2 * tail(n, rank) >= 0.95);
        assert_false(1 - 2 * tail(n, rank + 1) >= 0.95);
    }
}

static void one_sample(void **state)
{
    double one[] = {3.5};
    (void)state;
    struct stats stats = stats_of(one, 1);
    assert_true(stats.n == 1 && stats.min == 3.5 && stats.median == 3.5);
    assert_true(isnan(stats.lo) && isnan(stats.hi));
    assert_true(isnan(stats_of(one, 0).median));
}

static void unsorted_samples(void **state)
{
    double nine[] = {9, 1, 8, 2, 7, 3, 6, 4, 5};
    (void)state;
    struct stats stats = stats_of(nine, 9);
    assert_true(stats.min == 1 && stats.median == 5 && stats.lo == 2 && stats.hi == 8);
    double four[] = {4, 1, 3, 2};
    assert_true(stats_of(four, 4).median == 2.5);
}

static void ties(void **state)
{
    double same[] = {2, 2, 2, 2, 2, 2, 2};
    (void)state;
    struct stats stats = stats_of(same, 7);
    assert_true(stats.min == 2 && stats.median == 2 && stats.lo == 2 && stats.hi == 2);
}

static void nan_poisons(void **state)
{
    double some[] = {1, 2, (double)NAN, 4, 5, 6, 7};
    (void)state;
    struct stats stats = stats_of(some, 7);
    assert_true(stats.n == 7 && isnan(stats.min) && isnan(stats.median) && isnan(stats.lo) &&
                isnan(stats.hi));
}

static void quantiles(void **state)
{
    const double sorted[] = {10, 20, 40, 80};
    (void)state;
    assert_true(stats_quantile(sorted, 4, 0) == 10 && stats_quantile(sorted, 4, 1) == 80);
    assert_true(stats_quantile(sorted, 4, 0.5) == 30); /* numpy.quantile agrees */
    assert_true(stats_quantile(sorted, 4, 0.25) == 17.5);
    assert_true(isnan(stats_quantile(sorted, 0, 0.5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_ranks),      cmocka_unit_test(ranks_cover), cmocka_unit_test(one_sample),
        cmocka_unit_test(unsorted_samples), cmocka_unit_test(ties),        cmocka_unit_test(nan_poisons),
        cmocka_unit_test(quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
