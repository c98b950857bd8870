/* Transposes a 16 x 16 block of floats. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TRANSPOSE_H
#define TRIPASS_TRANSPOSE_H

/* to[j][i] = from[i][j]; both contiguous, not overlapping. In 4 x 4 pieces, which compilers keep in registers on
 * every machine: 128 loads and stores instead of 512. */
static inline void transpose_block(const float *from, float *to)
{
    typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 16; j += 4) {
            const float *f = from + i * 16 + j;
            float *t = to + j * 16 + i;
            quad a = *(const quad *)f, b = *(const quad *)(f + 16);
            quad c = *(const quad *)(f + 32), d = *(const quad *)(f + 48);
            quad ac_low = __builtin_shufflevector(a, c, 0, 4, 1, 5);
            quad bd_low = __builtin_shufflevector(b, d, 0, 4, 1, 5);
            quad ac_high = __builtin_shufflevector(a, c, 2, 6, 3, 7);
            quad bd_high = __builtin_shufflevector(b, d, 2, 6, 3, 7);
            *(quad *)t = __builtin_shufflevector(ac_low, bd_low, 0, 4, 1, 5);
            *(quad *)(t + 16) = __builtin_shufflevector(ac_low, bd_low, 2, 6, 3, 7);
            *(quad *)(t + 32) = __builtin_shufflevector(ac_high, bd_high, 0, 4, 1, 5);
            *(quad *)(t + 48) = __builtin_shufflevector(ac_high, bd_high, 2, 6, 3, 7);
        }
}

#endif
