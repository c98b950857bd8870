/* Seeded random numbers, the same on every machine: splitmix64 (Steele, Lea, Flood, OOPSLA 2014). Any seed is a good
 * one. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RANDOM_H
#define TRIPASS_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* 0 .. n-1, n > 0; the bias of the remainder is below n / 2^64. */
static inline int random_below(struct random *random, int n)
{
    return (int)(random_next(random) % (uint64_t)n);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

#endif
