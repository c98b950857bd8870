/* The peak kernels compute what they claim to, every chain of them: otherwise the ceiling is a number without meaning.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ceiling.h"
#include "kernels/peak.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_do_the_work),
                                       cmocka_unit_test(ceilings_are_finite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
