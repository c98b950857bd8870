/* The dot kernel (see dot.h): every multiply-add takes an operand from memory, so two loads a cycle are the limit, and the
 * tiles share what they can. SPDX-License-Identifier: Apache-2.0 */
#if defined(__FMA__) && VLEN == 8 && !defined(__clang__)
#pragma GCC optimize("ira-algorithm=priority") /* as in brgemm.isa.c */
#endif
#include "kernels/dot.h"
#include "kernels/simd.h"

enum { PARTS = DOT_LANES / VLEN }; /* vectors that hold 16 lanes */

/* Accumulators of a tile: 12 of 16 registers (24 of 32 with AVX-512) leave room for both operands. */
enum { DOT_ROWS = VLEN == 16 ? 8 : 4, DOT_COLUMNS = 3, DOT_ROWS_OF_ONE = 12 };

/* KEPT of the DOT_COLUMNS vectors of B wait in registers, the others are operands in memory: all three, the row and
 * twelve sums would be all 16 registers. */
enum { KEPT = VLEN == 16 ? DOT_COLUMNS : 2 };

/* The rows of a tile are reached from one pointer every REACH rows, as in brgemm.isa.c. */
enum { REACH = 3, POINTERS = (16 + REACH - 1) / REACH };

SIMD void point(int rows, const float *at[POINTERS], const float *first, ptrdiff_t a_row)
{
#pragma GCC unroll 6
    for (int i = 0; i < (rows + REACH - 1) / REACH; i++)
        at[i] = first + i * REACH * a_row;
}

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

/* The sum of the quarters (halves) of v. */
SIMD quad fold(vec v)
{
    quad part[VLEN / 4];
    vec_store((float *)part, v);
    for (int i = 1; i < VLEN / 4; i++)
        part[0] += part[i];
    return part[0];
}

/* Adds up the lanes of four vectors side by side. */
SIMD quad total(const vec v[4])
{
    quad q0 = fold(v[0]), q1 = fold(v[1]), q2 = fold(v[2]), q3 = fold(v[3]);
    quad low = __builtin_shufflevector(q0, q1, 0, 4, 1, 5) + __builtin_shufflevector(q0, q1, 2, 6, 3, 7);
    quad high = __builtin_shufflevector(q2, q3, 0, 4, 1, 5) + __builtin_shufflevector(q2, q3, 2, 6, 3, 7);
    return __builtin_shufflevector(low, high, 0, 1, 4, 5) + __builtin_shufflevector(low, high, 2, 3, 6, 7);
}

SIMD void dot_tile(int rows, int columns, const struct dot_shape *s, int segments,
                   const struct brgemm_segment *segment, const float *a, const float *b, float *c)
{
    const ptrdiff_t a_row = s->a_row;
    vec sum[DOT_ROWS * DOT_COLUMNS];
#pragma GCC unroll 24
    for (int i = 0; i < DOT_ROWS * DOT_COLUMNS; i++)
        sum[i] = vec_zero();
    for (int t = 0; t < segments; t++) {
        const float *at[POINTERS], *bt = vec_pointer(b + segment[t].b);
        point(rows, at, a + segment[t].a, a_row);
#pragma GCC unroll 2
        for (int part = 0; part < PARTS; part++) {
            const ptrdiff_t step = vec_stride(a_row);
            vec column[KEPT];
#pragma GCC unroll 3
            for (int j = 0; j < KEPT && j < columns; j++)
                column[j] = vec_load(bt + j * DOT_LANES + part * VLEN);
#pragma GCC unroll 24
            for (int i = 0; i < rows; i++) {
                const float *row = at[i / REACH] + i % REACH * step + part * VLEN;
                if (columns == 1) {
                    vec_multiply_add_at(&sum[i], column[0], row);
                    continue;
                }
                const vec x = vec_load(row);
#pragma GCC unroll 3
                for (int j = 0; j < columns; j++)
                    if (VLEN == 16) /* gcc does well alone with 32 registers */
                        sum[i * columns + j] += x * column[j];
                    else if (j < KEPT)
                        vec_multiply_add(&sum[i * columns + j], x, column[j]);
                    else
                        vec_multiply_add_at(&sum[i * columns + j], x, bt + j * DOT_LANES + part * VLEN);
            }
        }
    }
    float totals[DOT_ROWS * DOT_COLUMNS];
#pragma GCC unroll 6
    for (int i = 0; i < rows * columns; i += 4)
        *(quad *)(totals + i) = total(sum + i);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            c[i * s->c_row + j] = totals[i * columns + j];
}

dot_fn ISA_NAME(dot);
void ISA_NAME(dot)(const struct dot_shape *s, int segments, const struct brgemm_segment *segment,
                   const float *a, const float *b, float *c)
{
    int j = 0;
    for (; j + DOT_COLUMNS <= s->columns; j += DOT_COLUMNS) {
        int i = 0;
        for (; i + DOT_ROWS <= s->rows; i += DOT_ROWS)
            dot_tile(DOT_ROWS, DOT_COLUMNS, s, segments, segment, a + i * s->a_row, b + j * DOT_LANES,
                     c + i * s->c_row + j);
        for (; i < s->rows; i++)
            dot_tile(1, DOT_COLUMNS, s, segments, segment, a + i * s->a_row, b + j * DOT_LANES,
                     c + i * s->c_row + j);
    }
    for (; j < s->columns; j++) {
        int i = 0;
        for (; i + DOT_ROWS_OF_ONE <= s->rows; i += DOT_ROWS_OF_ONE)
            dot_tile(DOT_ROWS_OF_ONE, 1, s, segments, segment, a + i * s->a_row, b + j * DOT_LANES,
                     c + i * s->c_row + j);
        for (; i < s->rows; i++)
            dot_tile(1, 1, s, segments, segment, a + i * s->a_row, b + j * DOT_LANES, c + i * s->c_row + j);
    }
}
