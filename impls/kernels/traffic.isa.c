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
    const float *a = array[0];
    words chain[CHAINS] = {{0}};
    uint32_t sum = 0;
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += VECTORS * VLEN) {
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                chain[v % CHAINS] += *(const words *)(a + i + v * VLEN);
            BARRIER;
        }
    const words all = chain[0] + chain[1] + chain[2] + chain[3];
    for (int lane = 0; lane < VLEN; lane++)
        sum += all[lane];
    return sum;
}

uint32_t ISA_NAME(traffic_copy)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    const float *a = array[0];
    float *b = array[1];
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += VECTORS * VLEN) {
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                vec_store(b + i + v * VLEN, vec_load(a + i + v * VLEN));
            BARRIER;
        }
    return 0;
}

uint32_t ISA_NAME(traffic_triad)(float *const array[TRAFFIC_ARRAYS], size_t n, long passes)
{
    const vec three = vec_all(3);
    const float *a = array[0], *b = array[1];
    float *c = array[2];
    for (long pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < n; i += VECTORS * VLEN) {
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                vec_store(c + i + v * VLEN, vec_load(a + i + v * VLEN) + three * vec_load(b + i + v * VLEN));
            BARRIER;
        }
    return 0;
}
