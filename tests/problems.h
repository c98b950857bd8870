/* Seeded random problems and data for the tests. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TEST_PROBLEMS_H
#define TRIPASS_TEST_PROBLEMS_H

#include "conv.h"
#include "fill.h"
#include "problem_string.h"

#include <stdint.h>

/* TRIPASS_SEED, or 1. */
uint64_t test_seed(void);

/* `normal` when TRIPASS_TEST_PROBLEMS is unset or 200, in proportion otherwise; at least 1. */
int test_count(int normal);

/* A sound problem of at most 2e6 multiply-adds and 64 K elements a tensor, at least one tap of which falls inside
 * the image, biased to where kernels break: sizes 1, block - 1, block, block + 1 for blocks 8, 16, 32; kernels larger
 * than the image; padding >= kernel; stride > kernel; asymmetric and negative padding on the right; groups
 * (depthwise, odd sizes); many channels; dilation. Almost half are 3x3 with stride 1 and no dilation, so that Winograd has its share. */
struct conv_problem problem_random(uint64_t *random);

/* A problem with data for all three tensors in their plain layouts, taken (see take). Integers are so small that `slack` times the
 * longest sum of any pass is still exact (FILL_EXACT). */
struct example {
    struct conv_problem problem;
    float *plain[CONV_TENSORS];
};
struct example example_make(const struct conv_problem *problem, enum fill fill, double slack, uint64_t seed);
struct example example_random(uint64_t *random, enum fill fill, double slack);

/* Memory without the free: what was taken since `mark = take_mark()` goes back with take_back(mark). Never NULL. */
void *take(size_t bytes);
size_t take_mark(void);
void take_back(size_t mark);

#endif
