/* Pieces of a line of things. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RANGE_H
#define TRIPASS_RANGE_H

#include <stddef.h>

struct range {
    size_t begin, end;
};

static inline size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Part `i` of `parts` nearly equal parts of n things, cut at multiples of `unit`. */
static inline struct range range_part(size_t n, size_t unit, size_t parts, size_t i)
{
    const size_t units = (n + unit - 1) / unit;
    return (struct range){min(units * i / parts * unit, n), min(units * (i + 1) / parts * unit, n)};
}

#endif
