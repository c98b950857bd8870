/* Shared work (impls/share.h): every unit is taken once, by whoever, in pieces that stay within a row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "share.h"
#include "support.h"

#include <omp.h>

enum { THREADS = 5, UNITS = 203, ROW = 7 };

static void open_all(struct share *share, int threads)
{
    for (int t = 0; t < threads; t++)
        share_open(&share[t], UNITS * t / threads, UNITS * (t + 1) / threads, ROW, 1);
}

/* Counts who took which unit. False: some piece was not what it should be. */
static bool take_all(struct share *share, int threads, int self, int *taken)
{
    bool sound = true;
    for (long begin, end; share_take(share, threads, self, &begin, &end);) {
        sound = sound && 0 <= begin && begin < end && end <= UNITS && begin / ROW == (end - 1) / ROW;
        for (; sound && begin < end; begin++)
            taken[begin]++;
    }
    return sound;
}

static void assert_each_once(const int *taken)
{
    for (int unit = 0; unit < UNITS; unit++)
        assert_int_equal(taken[unit], 1);
}

static void one_thread_does_the_work_of_those_that_do_not_come(void **state)
{
    (void)state;
    for (int threads = 1; threads <= THREADS; threads++)
        for (int self = 0; self < threads; self++) {
            struct share share[THREADS];
            int taken[UNITS] = {0};
            open_all(share, threads);
            assert_true(take_all(share, threads, self, taken));
            assert_each_once(taken);
        }
}

static void a_team_takes_every_unit_once(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct share share[THREADS];
        int taken[THREADS][UNITS] = {{0}}, sum[UNITS] = {0};
        open_all(share, THREADS);
        bool sound = true;
#pragma omp parallel num_threads(THREADS) reduction(&& : sound)
        sound = take_all(share, THREADS, omp_get_thread_num(), taken[omp_get_thread_num()]);
        assert_true(sound);
        for (int t = 0; t < THREADS; t++)
            for (int unit = 0; unit < UNITS; unit++)
                sum[unit] += taken[t][unit];
        assert_each_once(sum);
    }
}

/* Of row units each, at least so many; in turns by two threads, of which the first has none of its own. */
static void assert_pieces(long row, long least, const long *expected)
{
    struct share share[2];
    share_open(&share[0], 0, 0, row, least);
    share_open(&share[1], 8, 24, row, least);
    for (long at = 8, begin = 0, end = 0; at < 24; at = end, expected++) {
        assert_true(share_take(share, 2, at % 2 == 0, &begin, &end));
        assert_int_equal(begin, at);
        assert_int_equal(end, *expected);
    }
    long begin, end;
    assert_false(share_take(share, 2, 1, &begin, &end));
}

static void pieces_are_quarters_of_what_is_left(void **state)
{
    (void)state;
    assert_pieces(100, 1, (const long[]){12, 15, 18, 20, 21, 22, 23, 24});
    assert_pieces(100, 3, (const long[]){12, 15, 18, 21, 24});
    assert_pieces(5, 5, (const long[]){10, 15, 20, 24});
}

static void equal_ranges_are_one_row(void **state)
{
    (void)state;
    struct share share[THREADS];
    long begin, end;
    share_evenly(share, THREADS, UNITS);
    assert_true(share_take(share, THREADS, 1, &begin, &end));
    assert_int_equal(begin, UNITS / THREADS);
    assert_int_equal(end, UNITS / THREADS + 11); /* a quarter of 41 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_does_the_work_of_those_that_do_not_come),
        cmocka_unit_test(a_team_takes_every_unit_once),
        cmocka_unit_test(pieces_are_quarters_of_what_is_left),
        cmocka_unit_test(equal_ranges_are_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
