/* The loops of STREAM (McCalpin 1995) and a sum, eight registers at a time. The sum is one of integers: with a latency of
 * one cycle four chains keep up with any core's loads, and the compiler may not reorder a float sum. A barrier after
 * each block keeps the compiler from merging passes, or a copy into a call of memcpy, which would choose stores of its
 * own. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/traffic.h"

#include "kernels/register.h"

enum { REGISTERS = 8, CHAINS = 4, LANES = REGISTER_BYTES / sizeof(float), STEP = REGISTERS * LANES };
typedef float reg __attribute__((vector_size(REGISTER_BYTES), aligned(sizeof(float)), may_alias));
typedef uint32_t words __attribute__((vector_size(REGISTER_BYTES), aligned(sizeof(float)), may_alias));
_Static_assert(TRAFFIC_BLOCK % STEP == 0, "a block is whole steps");

#define BARRIER __asm__ volatile("" ::: "memory")

uint32_t ISA_NAME(traffic_load)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    const float *a = array[0];
    words chain[CHAINS] = {{0}};
    uint32_t sum = 0;
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += STEP) {
#pragma GCC unroll 8
            for (int r = 0; r < REGISTERS; r++)
                chain[r % CHAINS] += *(const words *)(a + i + r * LANES);
            BARRIER;
        }
    const words all = chain[0] + chain[1] + chain[2] + chain[3];
    for (int lane = 0; lane < LANES; lane++)
        sum += all[lane];
    return sum;
}

uint32_t ISA_NAME(traffic_copy)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    const float *a = array[0];
    float *b = array[1];
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += STEP) {
#pragma GCC unroll 8
            for (int r = 0; r < REGISTERS; r++)
                *(reg *)(b + i + r * LANES) = *(const reg *)(a + i + r * LANES);
            BARRIER;
        }
    return 0;
}

uint32_t ISA_NAME(traffic_triad)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    const reg three = (reg){0} + 3;
    const float *a = array[0], *b = array[1];
    float *c = array[2];
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += STEP) {
#pragma GCC unroll 8
            for (int r = 0; r < REGISTERS; r++)
                *(reg *)(c + i + r * LANES) =
                    *(const reg *)(a + i + r * LANES) + three * *(const reg *)(b + i + r * LANES);
            BARRIER;
        }
    return 0;
}
