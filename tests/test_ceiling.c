/* The peak and traffic kernels do what they claim to, every element of it: otherwise the ceiling is a number without meaning.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ceiling.h"
#include "kernels/peak.h"
#include "kernels/traffic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void kernels_do_the_work(void **state)
{
    static peak_fn *const peak[ISAS] = ISA_TABLE(peak);
    (void)state;
    for (enum isa isa = ISA_GENERIC; isa < ISAS; isa++) {
        float mean;
        if (!isa_supported(isa))
            continue;
        /* chains start at 0 ... 11, 5.5 in the mean */
        const double flop = peak[isa](0, 0.5F, 0.5F, &mean);
        assert_true(flop == 0 && fabs((double)mean - 5.5) < 1e-5);
        const double once = peak[isa](1, 0.5F, 0.5F, &mean);
        assert_true(fabs((double)mean - (0.5 * 5.5 + 0.5)) < 1e-5);
        assert_true(once == 2 * 12 * 4 || once == 2 * 12 * 8 || once == 2 * 12 * 16);
        assert_true(peak[isa](3, 2, 1, &mean) == 3 * once && fabs((double)mean - (8 * 5.5 + 7)) < 1e-4);
        assert_true(peak[isa](1000, 0.5F, 0.5F, &mean) == 1000 * once && mean == 1);
    }
}

static void traffic_goes_over_every_element(void **state)
{
    static traffic_fn *const load[ISAS] = ISA_TABLE(traffic_load),
                             *const copy[ISAS] = ISA_TABLE(traffic_copy),
                             *const triad[ISAS] = ISA_TABLE(traffic_triad);
    enum { N = 3 * TRAFFIC_BLOCK };
    (void)state;
    for (enum isa isa = ISA_GENERIC; isa <= isa_best(); isa++) {
        float a[N], b[N + 1], c[N + 1], *const array[] = {a, b, c};
        uint32_t words = 0;
        for (int i = 0; i < N; i++) {
            const uint32_t word = 0x40000000 + 977 * (uint32_t)i; /* different floats from 2 on */
            memcpy(&a[i], &word, sizeof word);
            words += word;
        }
        b[N] = c[N] = -1;
        assert_int_equal(load[isa](array, N, 1), words);
        assert_int_equal(load[isa](array, N, 5), 5 * words);
        copy[isa](array, N, 1);
        assert_memory_equal(a, b, sizeof a);
        a[N - 1] = 7;
        triad[isa](array, N, 2);
        for (int i = 0; i < N; i++)
            assert_true(fabsf(c[i] - (a[i] + 3 * b[i])) <= 1e-6F * c[i]); /* rounded once or twice */
        assert_true(b[N] == -1 && c[N] == -1);
    }
}

/* Whatever the machine, a slower level is never the smaller one, and every level has its three figures or none. */
static void working_sets_rise(void **state)
{
    struct topology topology;
    struct ceiling ceiling;
    volatile unsigned long step = 0;
    (void)state;
    assert_null(topology_load(&topology));
    ceiling_measure(&ceiling, 2, &topology, &step);
    assert_true(step > LEVELS); /* a sign of life at each level */
    size_t smaller = 0;
    for (enum memory_level level = LEVEL_L1; level < LEVELS; level++) {
        const double *bps = ceiling.bps[ISA_GENERIC][level];
        assert_true((bps[TRAFFIC_LOAD] > 0) == (ceiling.working_set[level] > 0));
        assert_true((bps[TRAFFIC_COPY] > 0) == (bps[TRAFFIC_LOAD] > 0) && isfinite(bps[TRAFFIC_COPY]));
        assert_true((bps[TRAFFIC_TRIAD] > 0) == (bps[TRAFFIC_LOAD] > 0) && isfinite(bps[TRAFFIC_TRIAD]));
        assert_true(!ceiling.working_set[level] || ceiling.working_set[level] > smaller);
        smaller = ceiling.working_set[level] ? ceiling.working_set[level] : smaller;
    }
    assert_true(ceiling.working_set[LEVEL_DRAM] > 0);
    topology_free(&topology);
}

static void ceilings_are_finite(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++)
        for (enum isa isa = ISA_GENERIC; isa <= isa_best(); isa++) {
            const double flops = ceiling_fma(isa, threads);
            assert_true(isfinite(flops) && flops > 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_do_the_work), cmocka_unit_test(traffic_goes_over_every_element),
        cmocka_unit_test(working_sets_rise), cmocka_unit_test(ceilings_are_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
