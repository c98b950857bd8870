/* Sizes that do not wrap around: a sum or product that size_t cannot hold becomes SIZE_MAX and stays it, so that a
 * plan adds up its memory freely and asks once, at the end, whether it could be counted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SIZE_H
#define TRIPASS_SIZE_H

#include <stddef.h>
#include <stdint.h>

static inline size_t size_multiply(size_t a, size_t b)
{
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

static inline size_t size_add(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* The multiple of `unit` that is not below `a`. */
static inline size_t size_round_up(size_t a, size_t unit)
{
    return size_multiply(a / unit + (a % unit != 0), unit);
}

#endif
