/* Seeded random problems and data for the tests. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TEST_PROBLEMS_H
#define TRIPASS_TEST_PROBLEMS_H

#include "conv.h"

#include <stdint.h>

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014): any seed is a good one. */
struct random {
    uint64_t state;
};
uint64_t random_next(struct random *random);
int random_below(struct random *random, int n); /* 0 .. n-1 */

/* TRIPASS_SEED, or 1. */
uint64_t test_seed(void);

/* `normal` when TRIPASS_TEST_PROBLEMS is unset or 200, in proportion otherwise; at least 1. */
int test_count(int normal);

/* A sound problem of at most 2e6 multiply-adds and 64 K elements a tensor, at least one tap of which falls inside
 * the image, biased to where kernels break: sizes 1, block - 1, block, block + 1 for blocks 8, 16, 32; kernels larger
 * than the image; padding >= kernel; stride > kernel; asymmetric and negative padding on the right; groups
 * (depthwise, odd sizes); dilation. Almost half are 3x3 with stride 1 and no dilation, so that Winograd has its share. */
struct conv_problem problem_random(struct random *random);

/* Size for problem_print. */
enum { PROBLEM_TEXT = 160 };
/* In benchdnn's words, every size written out: "g1mb2ic3ih5iw5oc4...". */
void problem_print(const struct conv_problem *problem, char text[PROBLEM_TEXT]);

/* Fresh tensors, freed by the caller: integers in -limit .. limit, and reals in [-1, 1]. */
float *data_integers(struct random *random, size_t elements, int limit);
float *data_reals(struct random *random, size_t elements);

/* The largest integer, at most 4, that all three tensors may hold so that every sum of products in every pass stays
 * below 2^24 / slack: float addition of them is exact in any order. */
int exact_limit(const struct conv_problem *problem, double slack);

#endif
