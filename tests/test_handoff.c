/* The handoff: the probe ends and gives figures whatever the team, and synthetic rounds are told apart as handoff.h says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "clock.h"
#include "handoff.h"
#include "random.h"
#include "stats.h"

#include <math.h>
#include <omp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TRIES = 1000 }; /* 1 s at most: on a busy machine the partner is often not there */
static const double UNKNOWN = (double)NAN;

/* ---- the probe ---- */

static cpu_set_t allowed;

/* Gives each thread a CPU of its own: unbound and passive ones may stay on one CPU for long. */
static void bind_team(int threads)
{
#pragma omp parallel num_threads(threads)
    {
        cpu_set_t own;
        int cpu = -1;
        for (int i = 0; i <= omp_get_thread_num(); i++)
            do
                cpu++;
            while (!CPU_ISSET(cpu, &allowed));
        CPU_ZERO(&own);
        CPU_SET(cpu, &own);
        sched_setaffinity(0, sizeof own, &own);
    }
}

/* So that further threads do not inherit the first one's CPU. */
static int unbind(void **state)
{
    (void)state;
    return sched_setaffinity(0, sizeof allowed, &allowed);
}

static void two_threads_have_a_figure(void **state)
{
    double ns = UNKNOWN;
    (void)state;
    if (CPU_COUNT(&allowed) < 2)
        skip();
    bind_team(2);
    for (int i = 0; i < TRIES && isnan(ns); i++)
        ns = handoff_measure(2);
    assert_true(ns > 1 && ns < 1e6); /* a cycle or more; less than the limit of a pair */
}

static void one_thread_has_none(void **state)
{
    struct handoff_matrix matrix;
    volatile unsigned long steps = 0;
    (void)state;
    assert_true(isnan(handoff_measure(1)));
    handoff_measure_matrix(&matrix, 1, &steps);
    assert_true(matrix.size == 1 && matrix.step == 1 && isnan(matrix.ns[0][0]));
}

static void a_matrix_has_every_pair_both_ways(void **state)
{
    struct handoff_matrix matrix;
    volatile unsigned long steps = 0;
    const int threads = CPU_COUNT(&allowed) < 4 ? CPU_COUNT(&allowed) : 4;
    bool all = false;
    (void)state;
    bind_team(threads);
    for (int i = 0; i < TRIES && !all; i++) {
        handoff_measure_matrix(&matrix, threads, &steps);
        all = true;
        for (int a = 0; a < threads; a++)
            for (int b = 0; b < threads; b++) {
                all = all && (a == b || matrix.ns[a][b] > 1);
                assert_true(a != b || isnan(matrix.ns[a][b]));
                assert_memory_equal(&matrix.ns[a][b], &matrix.ns[b][a], sizeof(double));
            }
    }
    assert_true(all && matrix.size == threads && matrix.step == 1);
    assert_true(steps >= (unsigned long)threads);
}

/* Partners that have no CPU at the time: it ends, and what it gives is a figure or a NAN. With limits of 1 ms a pair and of
 * 1 s a matrix this takes a second or two; without them it takes minutes, which CTest ends. */
static void more_threads_than_cpus_end(void **state)
{
    static struct handoff_matrix matrix;
    volatile unsigned long steps = 0;
    const int cpus = CPU_COUNT(&allowed);
    (void)state;
    for (int threads = cpus + 1; threads <= 2 * cpus + 1; threads++) {
        const double ns = handoff_measure(threads);
        assert_true(isnan(ns) || (ns > 1 && ns < 1e6));
    }
    handoff_measure_matrix(&matrix, 2 * HANDOFF_THREADS + 1, &steps);
    assert_int_equal(matrix.step, 3); /* threads 0, 3, ..., 126 */
    assert_int_equal(matrix.size, 43);
    assert_int_equal(steps, 43);
}

/* ---- states ---- */

/* What is said of the rounds, in this order and in its reverse: the order does not matter. */
static struct handoff_states judge(const double *ns, int n)
{
    double forth[100], back[100];
    for (int i = 0; i < n; i++)
        forth[i] = back[n - 1 - i] = ns[i];
    const struct handoff_states states = handoff_judge(forth, n), again = handoff_judge(back, n);
    assert_true(states.moved == again.moved && states.far == again.far);
    assert_memory_equal(&states.ns, &again.ns, sizeof states.ns);
    return states;
}

static int kept(const struct handoff_states *states, const double *ns, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += handoff_keeps(states, ns[i]);
    return count;
}

static void known_series(void **state)
{
    static const struct {
        double ns[12];
        int n;
        bool moved, far;
        int kept;
        double median, spread;
    } cases[] = {
        /* one state with noise */
        {{100, 110, 120, 90, 105, 130}, 6, false, false, 6, 107.5, 130.0 / 90},
        /* one strange round of 9 cannot be an end of the interval (rank 2), two can */
        {{50, 51, 52, 53, 54, 55, 56, 57, 400}, 9, false, false, 9, 54, 57.0 / 51},
        {{50, 51, 52, 53, 54, 55, 56, 410, 400}, 9, true, false, 7, 53, 400.0 / 51},
        /* the state with more rounds; the near one of two that are equal */
        {{50, 400, 410, 52, 420, 430, 440, 450, 460}, 9, true, true, 7, 430, 450.0 / 52},
        {{50, 52, 54, 400, 410, 420}, 6, true, false, 3, 52, 420.0 / 50},
        /* below 6 rounds each one counts */
        {{50, 52, 400}, 3, true, false, 2, 51, 8},
        {{400, 50}, 2, true, false, 1, 50, 8},
        {{50, 124}, 2, false, false, 2, 87, 2.48},
        {{50, 126}, 2, true, false, 1, 50, 2.52},
        {{50}, 1, false, false, 1, 50, UNKNOWN},
        /* unknown rounds stay if nothing moved, and go if something did */
        {{UNKNOWN, 50, UNKNOWN, 52, 54}, 5, false, false, 5, 52, 54.0 / 50},
        {{UNKNOWN, 50, UNKNOWN, 52, 400}, 5, true, false, 2, 51, 8},
        /* too few are known to tell: rank 2 of 9 needs 4 */
        {{UNKNOWN, UNKNOWN, 50, 400, UNKNOWN, 51, UNKNOWN, UNKNOWN, UNKNOWN},
         9,
         false,
         false,
         9,
         51,
         UNKNOWN},
        {{UNKNOWN, UNKNOWN, UNKNOWN}, 3, false, false, 3, UNKNOWN, UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct handoff_states s = judge(cases[i].ns, cases[i].n);
        assert_true(s.moved == cases[i].moved && s.far == cases[i].far);
        assert_int_equal(kept(&s, cases[i].ns, cases[i].n), cases[i].kept);
        assert_true(isnan(cases[i].median) ? isnan(s.ns) : fabs(s.ns - cases[i].median) < 1e-9);
        assert_true(isnan(cases[i].spread) ? isnan(s.spread) : fabs(s.spread - cases[i].spread) < 1e-9);
    }
}

/* Random series of two states, with unknown rounds: those kept are of one state, the more frequent one, whenever both have
 * as many rounds as the rank; and else nothing is left out. */
static void never_pooled(void **state)
{
    uint64_t random = 1;
    (void)state;
    for (int series = 0; series < 20000; series++) {
        double ns[60];
        const int n = 1 + (int)(60 * random_unit(&random)), rank = stats_interval_rank(n),
                  r = rank ? rank : 1;
        const double share = random_unit(&random);
        int near = 0, far = 0;
        for (int i = 0; i < n; i++) {
            const double u = random_unit(&random), within = 1 + 0.2 * random_unit(&random);
            const bool unknown = random_unit(&random) < 0.1, is_near = u < share;
            ns[i] = unknown ? UNKNOWN : within * (is_near ? 51 : 310);
            near += !unknown && is_near;
            far += !unknown && !is_near;
        }
        const struct handoff_states s = judge(ns, n);
        const bool both = near >= r && far >= r;
        assert_true(s.moved == both);
        assert_int_equal(kept(&s, ns, n), both ? (near >= far ? near : far) : n);
        for (int i = 0; both && i < n; i++)
            assert_true(handoff_keeps(&s, ns[i]) == ((ns[i] < 100) == (near >= far) && !isnan(ns[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(two_threads_have_a_figure, unbind),
        cmocka_unit_test(one_thread_has_none),
        cmocka_unit_test_teardown(a_matrix_has_every_pair_both_ways, unbind),
        cmocka_unit_test(more_threads_than_cpus_end),
        cmocka_unit_test(known_series),
        cmocka_unit_test(never_pooled),
    };
    sched_getaffinity(0, sizeof allowed, &allowed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
