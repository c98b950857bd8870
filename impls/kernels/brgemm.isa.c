/* The batch-reduce register kernel (see brgemm.h).
 *
 *          b0 b1          per k: VECTORS loads of B, one broadcast of A a row,
 *     a0 | c00 c01        and rows * VECTORS multiply-adds into accumulators that stay in registers
 *     a1 | c10 c11        through all segments. FMA latency x ports = 8 chains are needed at least:
 *      .. ..              4 rows x 2 vectors and up keep both FMA ports of current x86 cores busy.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/brgemm.h"
#include "kernels/simd.h"

/* Registers: ROWS * 2 accumulators, 2 of B, 1 of A: 15 of 16 on AVX2, 31 of 32 on AVX-512; the generic
 * vector is two SSE registers. */
#if VLEN == 16
enum { ROWS = 14, VECTORS = 2 };
#elif defined(__AVX2__)
enum { ROWS = 6, VECTORS = 2 };
#else
enum { ROWS = 3, VECTORS = 2 };
#endif

/* One register tile; rows and vectors are constants at every call, so the loops over them unroll. */
SIMD void tile(int rows, int vectors, const struct brgemm_shape *s, int segments,
               const struct brgemm_segment *segment, const float *a, const float *b, float *c)
{
    const ptrdiff_t a_row = s->a_row, a_k = s->a_k, b_k = s->b_k, b_vec = s->b_vec;
    vec sum[ROWS][VECTORS];
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[i][v] = vec_zero();
    for (int t = 0; t < segments; t++) {
        const float *bk = b + segment[t].b;
        /* Two pointers reach all rows with the strides 0, 1, 2 times a_row that addressing modes offer. */
        const float *low = a + segment[t].a, *high = low + rows / 2 * a_row;
        for (int k = 0; k < s->depth; k++, low += a_k, high += a_k, bk += b_k) {
            vec row[VECTORS];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                row[v] = vec_load(bk + v * b_vec);
#pragma GCC unroll 14
            for (int i = 0; i < rows; i++) {
                vec x = vec_all(i < rows / 2 ? low[i * a_row] : high[(i - rows / 2) * a_row]);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++)
                    sum[i][v] += x * row[v];
            }
        }
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            float *to = c + i * s->c_row + v * s->c_vec;
            if (s->accumulate)
                sum[i][v] += vec_load(to);
            if (s->stream)
                vec_stream(to, sum[i][v]);
            else
                vec_store(to, sum[i][v]);
        }
}

typedef void tile_fn(const struct brgemm_shape *, int, const struct brgemm_segment *, const float *,
                     const float *, float *);

#define TILE(rows, vectors)                                                                                  \
    static void tile_##rows##x##vectors(const struct brgemm_shape *s, int n, const struct brgemm_segment *t, \
                                        const float *a, const float *b, float *c)                            \
    {                                                                                                        \
        tile(rows, vectors, s, n, t, a, b, c);                                                               \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
#define BOTH(rows)                                                                                           \
    {                                                                                                        \
        tile_##rows##x1, tile_##rows##x2                                                                     \
    }

TILES(1)
TILES(2) TILES(3)
#if VLEN == 16 || defined(__AVX2__)
    TILES(4) TILES(5) TILES(6)
#endif
#if VLEN == 16
        TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)
#endif

            static tile_fn *const tiles[ROWS + 1][VECTORS] = {
                {NULL, NULL}, BOTH(1), BOTH(2), BOTH(3),
#if VLEN == 16 || defined(__AVX2__)
                BOTH(4),      BOTH(5), BOTH(6),
#endif
#if VLEN == 16
                BOTH(7),      BOTH(8), BOTH(9), BOTH(10), BOTH(11), BOTH(12), BOTH(13), BOTH(14),
#endif
};

/* Cuts the rows into equal tiles, so that none is much smaller (and slower) than the others. */
static void run(const struct brgemm_shape *s, int segments, const struct brgemm_segment *segment,
                const float *a, const float *b, float *c)
{
    for (int left = s->rows, count = (s->rows + ROWS - 1) / ROWS; count > 0; count--) {
        int rows = (left + count - 1) / count;
        tiles[rows][s->vectors - 1](s, segments, segment, a, b, c);
        a += rows * s->a_row;
        c += rows * s->c_row;
        left -= rows;
    }
}

const struct brgemm_kernel ISA_NAME(brgemm_kernel) = {run, VLEN, ROWS, VECTORS};
