/* The dot kernel (see dot.h): tiles of 3 columns x 4 rows (8 with 32 registers), or 1 x 12, with one accumulator each; 3 is
 * what colour images have, and 4 x 3 needs 7 loads for 12 multiply-adds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/dot.h"
#include "kernels/simd.h"

enum { LANES = 16 };

/* Accumulators: 12 of 16 registers, 24 of 32. */
#if VLEN == 16
enum { TILE = 24 };
#else
enum { TILE = 12 };
#endif

SIMD float total(vec v)
{
    float sum[VLEN];
    vec_store(sum, v);
    for (int n = VLEN / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            sum[i] += sum[i + n];
    return sum[0];
}

SIMD void tile(int rows, int columns, const struct dot_shape *s, int segments,
               const struct brgemm_segment *segment, const float *a, const float *b, float *c)
{
    const ptrdiff_t a_row = s->a_row;
    vec sum[TILE];
#pragma GCC unroll 24
    for (int i = 0; i < rows * columns; i++)
        sum[i] = vec_zero();
    for (int t = 0; t < segments; t++)
#pragma GCC unroll 2
        for (int l = 0; l < LANES; l += VLEN) {
            const float *at = a + segment[t].a + l, *bt = b + segment[t].b + l;
            vec column[3];
#pragma GCC unroll 3
            for (int j = 0; j < columns; j++)
                column[j] = vec_load(bt + j * LANES);
#pragma GCC unroll 24
            for (int i = 0; i < rows; i++) {
                vec x = vec_load(at + i * a_row);
#pragma GCC unroll 3
                for (int j = 0; j < columns; j++)
                    sum[i * columns + j] += x * column[j];
            }
        }
#pragma GCC unroll 24
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < columns; j++)
            c[i * s->c_row + j] = total(sum[i * columns + j]);
}

#define TILES(rows, columns)                                                                                 \
    static void tile_##rows##x##columns(const struct dot_shape *s, int n, const struct brgemm_segment *t,    \
                                        const float *a, const float *b, float *c)                            \
    {                                                                                                        \
        tile(rows, columns, s, n, t, a, b, c);                                                               \
    }
#if VLEN == 16
enum { TALL = 8 };
TILES(8, 3)
#define TILE_TALL tile_8x3
#else
enum { TALL = 4 };
TILES(4, 3)
#define TILE_TALL tile_4x3
#endif
TILES(12, 1)
TILES(1, 3)
TILES(1, 1)

dot_fn ISA_NAME(dot_kernel);

void ISA_NAME(dot_kernel)(const struct dot_shape *s, int segments, const struct brgemm_segment *segment,
                          const float *a, const float *b, float *c)
{
    for (int j = 0, columns; j < s->columns; j += columns) {
        columns = s->columns - j >= 3 ? 3 : 1;
        const int tall = columns == 3 ? TALL : 12;
        const float *bj = b + (ptrdiff_t)j * LANES;
        for (int i = 0, rows; i < s->rows; i += rows) {
            rows = s->rows - i >= tall ? tall : 1;
            dot_fn *kernel = columns == 3 ? rows == 1 ? tile_1x3 : TILE_TALL
                             : rows == 1  ? tile_1x1
                                          : tile_12x1;
            kernel(s, segments, segment, a + i * s->a_row, bj, c + i * s->c_row + j);
        }
    }
}
