/* The batch-reduce register kernel (see brgemm.h).
 *
 *          b0 b1          per k: VECTORS loads of B, one broadcast of A a row,
 *     a0 | c00 c01        and rows * VECTORS multiply-adds into accumulators that stay in registers
 *     a1 | c10 c11        through all segments. FMA latency x ports = 8 chains are needed at least:
 *      .. ..              4 rows x 2 vectors and up keep both FMA ports of current x86 cores busy.
 *
 * What limits a core that shares its instruction slots with another thread is instructions, not multiply-adds: the
 * 6 x 2 tile spends 20 on 12, and every further one costs up to 5 %. So k is unrolled by 4, the strides that users
 * really have are constants, and addresses and registers are chosen with care: count them in the disassembly.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__FMA__) && !defined(__clang__)
/* Sums stay where they are: the default allocator of gcc 12 adds 17 moves to the 88 instructions of four steps. */
#pragma GCC optimize("ira-algorithm=priority")
#endif
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

enum { LINE = 16 }; /* floats in a cache line */

/* The strides inside a segment. */
struct strides {
    ptrdiff_t a_row, a_k, b_k, b_vec;
};

/* A pointer reaches REACH rows, for addresses scale an index by one or two rows. */
enum { REACH = 3, POINTERS = (ROWS + REACH - 1) / REACH };

/* One step of the reduction, and on to the next. */
SIMD void step(int rows, int vectors, vec sum[ROWS][VECTORS], const float *at[POINTERS], const float **b,
               struct strides s)
{
    const bool alone = __builtin_constant_p(s.a_row); /* the first pointer reaches all */
    const ptrdiff_t a_row = alone ? s.a_row : vec_stride(s.a_row);
    vec row[VECTORS];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
        row[v] = vec_load(*b + v * s.b_vec);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        const vec x = vec_all(alone ? at[0][i * a_row] : at[i / REACH][i % REACH * a_row]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            vec_multiply_add(&sum[i][v], x, row[v]);
    }
#pragma GCC unroll 5
    for (int i = 0; i < POINTERS; i++)
        at[i] += s.a_k;
    *b += s.b_k;
}

SIMD void store(int rows, int vectors, vec sum[ROWS][VECTORS], const struct brgemm_shape *s, float *c)
{
    const ptrdiff_t c_row = s->c_row, c_vec = s->c_vec;
    const bool accumulate = s->accumulate, stream = s->stream;
#define EACH(statement)                                                                                      \
    _Pragma("GCC unroll 14") for (int i = 0; i < rows; i++)                                                  \
        _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++)                                            \
    {                                                                                                        \
        float *to = c + i * c_row + v * c_vec;                                                               \
        statement;                                                                                           \
    }
    if (accumulate)
        EACH(vec_store(to, vec_load(to) + sum[i][v]))
    else if (stream)
        EACH(vec_stream(to, sum[i][v]))
    else
        EACH(vec_store(to, sum[i][v]))
#undef EACH
}

/* What the tiles of a call share. */
struct call {
    const struct brgemm_shape *shape;
    int segments;
    const struct brgemm_segment *segment;
    const float *a, *b;
    float *c;
    const float *ahead;
    int paced; /* tiles that prefetch, so that together they fetch as much as B has */
};

/* `count` register tiles, one below the other. rows, vectors and most strides are constants at every call, so
 * that the loops over them unroll and addresses fold. */
SIMD void tiles(int rows, int vectors, struct strides st, struct call *call, int count)
{
    const struct brgemm_shape *s = call->shape;
    const float *a = call->a, *b = call->b, *ahead = call->ahead;
    float *c = call->c;
    for (; count > 0; count--, call->paced--, a += rows * st.a_row, c += rows * s->c_row) {
        const ptrdiff_t line = call->paced > 0 ? LINE : 0;
        vec sum[ROWS][VECTORS];
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                sum[i][v] = vec_zero();
        if (s->accumulate)
            for (int i = 0; i < rows; i++)
                for (int v = 0; v < vectors * VLEN; v += LINE)
                    __builtin_prefetch(c + i * s->c_row + v / VLEN * s->c_vec, 1);
        for (int t = 0; t < call->segments; t++) {
            const float *at[POINTERS], *bk = b + call->segment[t].b;
#pragma GCC unroll 5
            for (int i = 0; i < POINTERS; i++)
                at[i] = a + call->segment[t].a + i * REACH * st.a_row;
            int k = s->depth;
            for (; k >= 4; k -= 4, ahead += line) {
                __builtin_prefetch(ahead);
#pragma GCC unroll 4
                for (int u = 0; u < 4; u++)
                    step(rows, vectors, sum, at, &bk, st);
            }
            for (; k > 0; k--)
                step(rows, vectors, sum, at, &bk, st);
        }
        store(rows, vectors, sum, s, c);
    }
    call->a = a;
    call->c = c;
    call->ahead = ahead;
}

typedef void tiles_fn(struct call *call, int count);

/* The strides of B that are worth a variant: panels of both vectors side by side. With 16 lanes an instruction
 * does twice the work, so that there the general ones cost little, and a block of 16 channels is one vector. */
#if VLEN == 16
#define B_IS_USUAL(s) true
#define B_USUAL(s)    (s)->b_k, (s)->b_vec
#else
#define B_IS_USUAL(s) ((s)->b_k == 2 * VLEN && (s)->b_vec == VLEN)
#define B_USUAL(s)    2 * VLEN, VLEN
#endif

#define TILES(rows, vectors)                                                                                 \
    static void tiles_##rows##x##vectors(struct call *call, int count)                                       \
    {                                                                                                        \
        const struct brgemm_shape *s = call->shape;                                                          \
        if (s->a_k == 1 && B_IS_USUAL(s))                                                                    \
            tiles(rows, vectors, (struct strides){s->a_row, 1, B_USUAL(s)}, call, count);                    \
        else if (s->a_row == 1 && B_IS_USUAL(s))                                                             \
            tiles(rows, vectors, (struct strides){1, s->a_k, B_USUAL(s)}, call, count);                      \
        else                                                                                                 \
            tiles(rows, vectors, (struct strides){s->a_row, s->a_k, s->b_k, s->b_vec}, call, count);         \
    }
#if VLEN == 16
#define FOR_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined(__AVX2__)
#define FOR_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define FOR_ROWS(X) X(1) X(2) X(3)
#endif
#define BOTH(rows)  TILES(rows, 1) TILES(rows, 2)
#define ENTRY(rows) {tiles_##rows##x1, tiles_##rows##x2},

FOR_ROWS(BOTH)
static tiles_fn *const table[ROWS][VECTORS] = {FOR_ROWS(ENTRY)};

/* Cuts the rows into tiles of two sizes that differ by one, so that none is much smaller (and slower) than the
 * others. */
static void run(const struct brgemm_shape *s, int segments, const struct brgemm_segment *segment,
                const float *a, const float *b, float *c)
{
    const int count = (s->rows + ROWS - 1) / ROWS;
    if (count == 0)
        return;
    const int rows = s->rows / count, tall = s->rows % count;
    struct call call = {s, segments, segment, a, b, c, s->ahead ? s->ahead : b, 0};
    if (s->ahead)
        call.paced = 4 * s->vectors * VLEN / LINE;
    if (tall > 0)
        table[rows][s->vectors - 1](&call, tall);
    table[rows - 1][s->vectors - 1](&call, count - tall);
}

static void fence(void)
{
    vec_stream_fence();
}

const struct brgemm_kernel ISA_NAME(brgemm_kernel) = {run, VLEN, ROWS, VECTORS, fence};
