/* Transposing whole blocks (see transpose.h): 8 x 8 floats at a time, as 4 x 4 in each half of four vectors, so that no
 * shuffle crosses halves, which is what AVX2 is slow at; loads put rows 4 apart side by side instead.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/transpose.h"
#include "kernels/simd.h"

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef float octet __attribute__((vector_size(32), aligned(4), may_alias));

SIMD octet load_pair(const float *low, const float *high)
{
    return __builtin_shufflevector(*(const quad *)low, *(const quad *)high, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* Four columns of eight rows become four rows of eight. */
SIMD void transpose_half(const float *from, float *to)
{
    enum { ROW = TRANSPOSE_BLOCK };
    const octet a = load_pair(from, from + 4 * ROW), b = load_pair(from + ROW, from + 5 * ROW);
    const octet c = load_pair(from + 2 * ROW, from + 6 * ROW), d = load_pair(from + 3 * ROW, from + 7 * ROW);
    const octet ab_low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
    const octet cd_low = __builtin_shufflevector(c, d, 0, 8, 1, 9, 4, 12, 5, 13);
    const octet ab_high = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    const octet cd_high = __builtin_shufflevector(c, d, 2, 10, 3, 11, 6, 14, 7, 15);
    *(octet *)to = __builtin_shufflevector(ab_low, cd_low, 0, 1, 8, 9, 4, 5, 12, 13);
    *(octet *)(to + ROW) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 10, 11, 6, 7, 14, 15);
    *(octet *)(to + 2 * ROW) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 8, 9, 4, 5, 12, 13);
    *(octet *)(to + 3 * ROW) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 10, 11, 6, 7, 14, 15);
}

transpose_fn ISA_NAME(transpose_block);
void ISA_NAME(transpose_block)(const float *from, float *to)
{
    for (int i = 0; i < TRANSPOSE_BLOCK; i += 8)
        for (int j = 0; j < TRANSPOSE_BLOCK; j += 4)
            transpose_half(from + i * TRANSPOSE_BLOCK + j, to + j * TRANSPOSE_BLOCK + i);
}
