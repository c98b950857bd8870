/* The loops of STREAM (McCalpin 1995) and a sum, eight vectors at a time. The sum is one of integers: with a latency of
 * one cycle four chains keep up with any core's loads, and the compiler may not reorder a float sum. A barrier after
 * each block keeps the compiler from merging passes, or a copy into a call of memcpy, which would choose stores of its
 * own. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/traffic.h"

#include "kernels/simd.h"

enum { VECTORS = 8, CHAINS = 4 };
typedef uint32_t words __attribute__((vector_size(VLEN * sizeof(float)), aligned(sizeof(float)), may_alias));

#define BARRIER __asm__ volatile("" ::: "memory")

uint32_t ISA_NAME(traffic_load)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    words chain[CHAINS] = {{0}};
    uint32_t sum = 0;
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += VECTORS * VLEN) {
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                chain[v % CHAINS] += *(const words *)(array[0] + i + v * VLEN);
            BARRIER;
        }
    for (int v = 0; v < CHAINS; v++)
        for (int lane = 0; lane < VLEN; lane++)
            sum += chain[v][lane];
    return sum;
}

uint32_t ISA_NAME(traffic_copy)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += VECTORS * VLEN) {
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                vec_store(array[1] + i + v * VLEN, vec_load(array[0] + i + v * VLEN));
            BARRIER;
        }
    return 0;
}

uint32_t ISA_NAME(traffic_triad)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    const vec three = vec_all(3);
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += VECTORS * VLEN) {
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                vec_store(array[2] + i + v * VLEN,
                          vec_load(array[0] + i + v * VLEN) + three * vec_load(array[1] + i + v * VLEN));
            BARRIER;
        }
    return 0;
}
