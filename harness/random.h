/* Seeded random numbers, the same on every machine: splitmix64 (Steele, Lea, Flood, OOPSLA 2014). The state is a seed;
 * any is a good one. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RANDOM_H
#define TRIPASS_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* 0 .. n-1, n > 0; the bias of the remainder is below n / 2^64. */
static inline int random_below(uint64_t *state, int n)
{
    return (int)(random_next(state) % (uint64_t)n);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double random_unit(uint64_t *state)
{
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

/* Puts n numbers in any order with equal probability (Fisher and Yates). */
static inline void random_shuffle(uint64_t *state, int *order, int n)
{
    for (int i = n - 1; i > 0; i--) {
        const int j = random_below(state, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

#endif
