/* The batch-reduce register kernel (see brgemm.h).
 *
 *          b0 b1 b2 b3        per k: VECTORS loads of B, one broadcast of A a row,
 *     a0 | c00 .. .. c03      and rows * VECTORS multiply-adds into accumulators that stay in registers
 *     a1 | c10 .. .. c13      through all segments. FMA latency x ports = 8 chains are needed at least:
 *      .. ..                  2 rows x 4 vectors and up keep both FMA ports of current x86 cores busy.
 *
 * What limits a core that shares its instruction slots and load ports with another thread is instructions and loads,
 * not multiply-adds. With 16 registers, a tile of 12 sums costs for each k (a loop around the tile on two Zen 3 cores
 * that were shared with others, medians of 300 runs):
 *
 *     rows x vectors, of B in registers       instructions   loads   of the FMA ceiling
 *     6 x 2, 2                                20             8       82 .. 87 %
 *     4 x 3, 3                                19             7       85 .. 89 %
 *     3 x 4, 3: the fourth one stays in       18             9       85 .. 90 %
 *     3 x 4, 2  memory, read by each row      17             11      75 .. 80 %
 *
 * So k is unrolled, the strides that users really have are constants, nothing is tested for a rest that cannot be, and
 * addresses and registers are chosen with care: count them in the disassembly (3 x 4: 150 for 8 steps, of which 96 are
 * multiply-adds).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__FMA__) && !defined(__clang__)
/* So that sums stay where they are. gcc's default with 32 registers: 30 moves in eight steps of 8 x 2 (gcc 12, 14). With 16,
 * where each loop is allocated by itself: 24 to 28 moves around the loop of a segment of 3 x 4 (gcc 16). */
#if VLEN == 16
#pragma GCC optimize("ira-algorithm=priority")
#else
#pragma GCC optimize("ira-region=one")
#endif
#endif
#include "kernels/brgemm.h"
#include "kernels/simd.h"

/* The tall tile and the wide one. Registers: 14 x 2 sums, 2 of B, 1 of A of the 32 of AVX-512; 6 x 2 and 2 or 3 x 4 and
 * 3, and 1 of A, of the 16 of AVX2; a vector of generic code is two of SSE's 16. */
#if VLEN == 16
enum { TALL_ROWS = 14, WIDE_ROWS = 14, VECTORS = 2 };
#elif defined(__AVX2__)
enum { TALL_ROWS = 6, WIDE_ROWS = 3, VECTORS = 4 };
#else
enum { TALL_ROWS = 3, WIDE_ROWS = 3, VECTORS = 2 };
#endif
enum { TALL_VECTORS = 2 };

enum { IN_BLOCK = BRGEMM_BLOCK / VLEN }; /* vectors */

/* A reduction is unrolled WHOLE times where segments are a multiple of it, as channel blocks are, or COLORS times where
 * they are a row of taps of a first layer; otherwise FEW times, with a loop for the steps left over. */
enum { WHOLE = 8, COLORS = 3, FEW = 4 };
_Static_assert(WHOLE % FEW == 0, "steps_3x4 takes FEW of them");

/* The strides inside a segment. */
struct strides {
    ptrdiff_t a_row, a_k, b_block;
};

/* A pointer reaches REACH rows, for addresses scale an index by one or two rows. */
enum { REACH = 3, POINTERS = (TALL_ROWS + REACH - 1) / REACH };

SIMD const float *vector_of(const float *row, int v, ptrdiff_t block)
{
    return row + v / IN_BLOCK * block + v % IN_BLOCK * VLEN;
}

/* One step of the reduction, and on to the next. */
SIMD void step(int rows, int vectors, vec sum[TALL_ROWS][VECTORS], const float *at[POINTERS], const float **b,
               struct strides s)
{
    const bool alone = __builtin_constant_p(s.a_row); /* the first pointer reaches all */
    const ptrdiff_t a_row = alone ? s.a_row : vec_stride(s.a_row);
    vec row[3];
#pragma GCC unroll 3
    for (int v = 0; v < vectors && v < 3; v++)
        row[v] = vec_load(vector_of(*b, v, s.b_block));
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        const vec x = vec_all(alone ? at[0][i * a_row] : at[i / REACH][i % REACH * a_row]);
        if (vectors == 4)
            vec_multiply_add_4(sum[i], x, row, vector_of(*b, 3, s.b_block));
        else if (vectors == 2)
            vec_multiply_add_2(sum[i], x, row);
        else
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++)
                vec_multiply_add(&sum[i][v], x, row[v]);
    }
#pragma GCC unroll 5
    for (int i = 0; i < POINTERS; i++)
        at[i] += s.a_k;
    *b += BRGEMM_BLOCK;
}

/* `steps` (1, COLORS or FEW) steps of 3 x 4 with a_k 1, in one statement that names all 16 registers. Between statements
 * gcc 16 finds too few for 12 sums: it took 204 to 214 instructions, of them 33 moves and 6 spills, for 8 steps that are 150
 * here and in gcc 12 and 14, and 1x1 layers were at 0.7 to 0.9 of oneDNN forward. 28 operands, of at most 30: memory has to
 * be a clobber. */
SIMD void steps_3x4(int steps, vec sum[TALL_ROWS][VECTORS], const float **a, const float **b,
                    struct strides s)
{
#if defined(__FMA__) && VLEN == 8 && !defined(__SANITIZE_ADDRESS__) /* which sees no loads of assembly */
#define ROW(k, a, s0, s1, s2, s3)                                                                            \
    "vbroadcastss 4*" #k a ", %%ymm15\n\t"                                                                   \
    "vfmadd231ps %%ymm12, %%ymm15, %" #s0 "\n\t"                                                             \
    "vfmadd231ps %%ymm13, %%ymm15, %" #s1 "\n\t"                                                             \
    "vfmadd231ps %%ymm14, %%ymm15, %" #s2 "\n\t"                                                             \
    "vfmadd231ps 64*" #k "+32(%[b], %[b_block]), %%ymm15, %" #s3 "\n\t"
#define STEP(k)                                                                                              \
    "vmovups 64*" #k "(%[b]), %%ymm12\n\t"                                                                   \
    "vmovups 64*" #k "+32(%[b]), %%ymm13\n\t"                                                                \
    "vmovups 64*" #k "(%[b], %[b_block]), %%ymm14\n\t" ROW(k, "(%[a])", 0, 1, 2, 3)                          \
        ROW(k, "(%[a], %[a_row])", 4, 5, 6, 7) ROW(k, "(%[a], %[a_row], 2)", 8, 9, 10, 11)
#define SUMS(i) "+&x"(sum[i][0]), "+&x"(sum[i][1]), "+&x"(sum[i][2]), "+&x"(sum[i][3])
#define STATEMENT(text)                                                                                      \
    __asm__(                                                                                                 \
        text                                                                                                 \
        : SUMS(0), SUMS(1), SUMS(2)                                                                          \
        : [a] "r"(*a), [b] "r"(*b), [a_row] "r"(s.a_row * sizeof **a), [b_block] "r"(s.b_block * sizeof **b) \
        : "xmm12", "xmm13", "xmm14", "xmm15", "memory")
    if (steps == FEW)
        STATEMENT(STEP(0) STEP(1) STEP(2) STEP(3));
    else if (steps == COLORS)
        STATEMENT(STEP(0) STEP(1) STEP(2));
    else
        STATEMENT(STEP(0));
#undef STATEMENT
#undef SUMS
#undef STEP
#undef ROW
    *a += steps;
    *b += steps * BRGEMM_BLOCK;
#else
    for (; steps > 0; steps--)
        step(3, 4, sum, a, b, s);
#endif
}

/* What a step may prefetch besides, known when compiled, or gcc tests it in the loop: that was 97 instead of 89
 * instructions for 48 multiply-adds of 6 x 2 (gcc 14), and 6 % of the gradients of 1x1 layers. */
enum prefetch {
    NOTHING,
    PACED,  /* a line of what comes later, every BRGEMM_AHEAD steps */
    BY_ROWS /* of A and B of the next call what it reads of this one's */
};

/* All steps of a segment; next: how far it is to A and B of the next call.
 *
 * A tile of 14 x 2 leaves most instruction slots free. There each step also prefetches a row of the tile below, or of the
 * next call's first one, and every tile its sums: 2 to 3 % of 1x1 layers on one thread (Zen 4). */
SIMD void reduce(int rows, int vectors, int whole, struct strides st, int k, vec sum[TALL_ROWS][VECTORS],
                 const float *at[POINTERS], const float *b, const float *below, enum prefetch prefetch,
                 const float **ahead, const ptrdiff_t next[2])
{
    const int unroll = whole ? whole : FEW, at_once = whole == COLORS ? COLORS : FEW;
    const bool image = !__builtin_constant_p(st.a_row);
    const bool named = rows == 3 && vectors == 4 && image && st.a_k == 1;
    for (; whole ? k > 0 : k >= unroll; k -= unroll) {
#pragma GCC unroll 4
        for (int u = 0; prefetch == PACED && u < unroll; u += BRGEMM_AHEAD, *ahead += BRGEMM_LINE)
            if (image && VLEN < 16)
                __builtin_prefetch(*ahead);
            else
                __builtin_prefetch(*ahead, 0, 2); /* 2: into level 2 */
        if (named) {
#pragma GCC unroll 2
            for (int u = 0; u < unroll; u += at_once)
                steps_3x4(at_once, sum, at, &b, st);
            continue;
        }
#pragma GCC unroll 8
        for (int u = 0; u < unroll; u++, below += st.a_row) {
            if (VLEN == 16 && image)
                __builtin_prefetch(below);
            if (prefetch == BY_ROWS && !image)
                __builtin_prefetch(at[0] + next[0], 0, 2);
            if (prefetch == BY_ROWS)
                __builtin_prefetch(b + next[1], 0, 2);
            step(rows, vectors, sum, at, &b, st);
        }
    }
    for (; !whole && k > 0; k--)
        if (named)
            steps_3x4(1, sum, at, &b, st);
        else
            step(rows, vectors, sum, at, &b, st);
}

SIMD void store(int rows, int vectors, vec sum[TALL_ROWS][VECTORS], const struct brgemm_shape *s, float *c)
{
    const ptrdiff_t c_row = s->c_row, c_block = s->c_block;
    const bool accumulate = s->accumulate;
#define EACH(statement)                                                                                      \
    _Pragma("GCC unroll 14") for (int i = 0; i < rows; i++)                                                  \
        _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++)                                            \
    {                                                                                                        \
        float *to = (float *)vector_of(c + i * c_row, v, c_block);                                           \
        statement;                                                                                           \
    }
    if (accumulate)
        EACH(vec_store(to, vec_load(to) + sum[i][v]))
    else
        EACH(vec_store(to, sum[i][v]))
#undef EACH
}

/* What the tiles of a call share. */
struct call {
    const struct brgemm_shape *shape;
    int segments;
    const struct brgemm_segment *segment;
    const float *next, *a, *b; /* next: the A of the next call */
    float *c;
    const float *ahead;
    int tile, tiles; /* so many are done, of so many */
};

/* `count` register tiles, one below the other. rows, vectors, whole (depth is a multiple of it; 0: of nothing) and most
 * strides are constants at every call, so that the loops over them unroll and addresses fold.
 *
 * What a tile and a segment cost besides their steps, a neighbor on the core makes dear. So the shape is a copy, for gcc has
 * to read again whatever a store to C might have changed; each kind of prefetching has a loop; and vec_pointer keeps gcc
 * from holding a pointer for each row of C meanwhile. A segment of 16 steps of 3 x 4 has 19 instructions besides them instead
 * of 25, a tile 56 instead of 109 (executed, as callgrind counts); 1x1 layers gained 3 % forward and backward (two busy Zen 3
 * cores, in turns with the kernel before, 12 layers). Unrolling 16 times saved the inner loop and lost 5 % to spills.
 *
 * Sums are prefetched where they are only written, too: gradients of batch 1, which write dw once, gained 2 to 11 %. */
SIMD void tiles(int rows, int vectors, int whole, struct strides st, enum prefetch prefetch,
                struct call *call, int count)
{
    const struct brgemm_shape s = *call->shape;
    const struct brgemm_segment *const segment = call->segment, *const end = segment + call->segments;
    const float *a = call->a, *const b = call->b, *ahead = call->ahead;
    float *c = call->c;
    int tile = call->tile;
    for (const int last = tile + count; tile < last; tile++, a += rows * st.a_row, c += rows * s.c_row) {
        if (prefetch == PACED && s.ahead.block && tile % BRGEMM_AHEAD == 0)
            ahead = s.ahead.at + tile / BRGEMM_AHEAD * s.ahead.block;
        vec sum[TALL_ROWS][VECTORS];
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[i][v] = vec_zero();
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vectors; v += IN_BLOCK)
                __builtin_prefetch(vector_of(vec_pointer(c) + i * s.c_row, v, s.c_block), 1);
        const ptrdiff_t next[] = {s.a_next, s.b_next + tile % 2 * st.b_block};
        const ptrdiff_t below = tile < call->tiles - 1 ? rows * st.a_row : call->next - a;
        for (const struct brgemm_segment *t = segment; t < end; t++) {
            const float *at[POINTERS];
#pragma GCC unroll 5
            for (int i = 0; i < POINTERS; i++)
                at[i] = a + t->a + i * REACH * st.a_row;
            reduce(rows, vectors, whole, st, s.depth, sum, at, b + t->b, at[0] + below, prefetch, &ahead,
                   next);
        }
        store(rows, vectors, sum, &s, (float *)vec_pointer(c));
    }
    call->a = a;
    call->c = c;
    call->ahead = ahead;
    call->tile = tile;
}

/* The same with the prefetching that the shape asks for. */
SIMD void paced_tiles(int rows, int vectors, int whole, struct strides st, struct call *call, int count)
{
    const struct brgemm_shape *s = call->shape;
    const int left = s->ahead.tiles - call->tile, paced = left < count ? left : count;
    if (s->b_next && (VLEN == 16 || s->a_k != 1)) {
        tiles(rows, vectors, whole, st, BY_ROWS, call, count);
        return;
    }
    if (paced > 0)
        tiles(rows, vectors, whole, st, PACED, call, paced);
    if (paced < count)
        tiles(rows, vectors, whole, st, NOTHING, call, paced > 0 ? count - paced : count);
}

typedef void tiles_fn(struct call *call, int count);

#define TILES(rows, vectors)                                                                                 \
    static void tiles_##rows##x##vectors(struct call *call, int count)                                       \
    {                                                                                                        \
        const struct brgemm_shape *s = call->shape;                                                          \
        const struct strides image = {s->a_row, 1, s->b_block};                                              \
        if (s->a_k != 1)                                                                                     \
            paced_tiles(rows, vectors, 0, (struct strides){1, s->a_k, s->b_block}, call, count);             \
        else if (s->depth % WHOLE == 0)                                                                      \
            paced_tiles(rows, vectors, WHOLE, image, call, count);                                           \
        else if (s->depth % COLORS == 0)                                                                     \
            paced_tiles(rows, vectors, COLORS, image, call, count);                                          \
        else                                                                                                 \
            paced_tiles(rows, vectors, 0, image, call, count);                                               \
    }
#define UP_TO_3(X, vectors) X(1, vectors) X(2, vectors) X(3, vectors)
#define UP_TO_6(X, vectors) UP_TO_3(X, vectors) X(4, vectors) X(5, vectors) X(6, vectors)
#define UP_TO_14(X, vectors)                                                                                 \
    UP_TO_6(X, vectors)                                                                                      \
    X(7, vectors)                                                                                            \
    X(8, vectors) X(9, vectors) X(10, vectors) X(11, vectors) X(12, vectors) X(13, vectors) X(14, vectors)
#if VLEN == 16
#define FOR_TILES(X) UP_TO_14(X, 1) UP_TO_14(X, 2)
#elif defined(__AVX2__)
#define FOR_TILES(X) UP_TO_6(X, 1) UP_TO_6(X, 2) UP_TO_3(X, 3) UP_TO_3(X, 4)
#else
#define FOR_TILES(X) UP_TO_3(X, 1) UP_TO_3(X, 2)
#endif
#define ENTRY(rows, vectors) [vectors - 1][rows - 1] = tiles_##rows##x##vectors,

FOR_TILES(TILES)
static tiles_fn *const table[VECTORS][TALL_ROWS] = {FOR_TILES(ENTRY)};

/* Cuts the rows into tiles of two sizes that differ by one, so that none is much smaller (and slower) than the
 * others. */
static void run(const struct brgemm_shape *s, int segments, const struct brgemm_segment *segment,
                const float *a, const float *b, float *c)
{
    const int most = s->vectors > TALL_VECTORS ? WIDE_ROWS : TALL_ROWS, count = (s->rows + most - 1) / most;
    if (count == 0)
        return;
    const int rows = s->rows / count, tall = s->rows % count;
    struct call call = {s, segments, segment, a + s->a_next, a, b, c, s->ahead.at, 0, count};
    if (tall > 0)
        table[s->vectors - 1][rows](&call, tall);
    table[s->vectors - 1][rows - 1](&call, count - tall);
}

const struct brgemm_kernel ISA_NAME(brgemm_kernel) = {
    run, VLEN, VLEN == 16, {WIDE_ROWS, VECTORS}, {TALL_ROWS, TALL_VECTORS}};
