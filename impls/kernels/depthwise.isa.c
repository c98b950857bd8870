/* The depthwise kernels (see depthwise.h): nine registers hold the taps of a vector of channels, or their sums, one the sum or
 * the pixel of dst of a position, and the input comes from memory with each multiply-add. Forward and backward of more taps
 * keep the sums of some positions instead, for which each tap is loaded once.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#if defined(__FMA__) && VLEN == 8 && !defined(__clang__)
#pragma GCC optimize("ira-algorithm=priority") /* as in brgemm.isa.c */
#endif
#include "kernels/depthwise.h"
#include "kernels/simd.h"

/* What belongs to 3 x 3 taps is kept in registers: nine of AVX2's sixteen. */
enum { TAPS = 3, B = DEPTHWISE_LANES };

/* What the compiler knows of a tile: its taps, which vector of a block it takes, and the stride if its distances are the usual
 * ones (0 if not). With distances that are constant, GROUP positions share what advances a line, and nothing but that, what a
 * position loads or stores, and its nine multiply-adds is left. */
struct tile {
    int rows, columns, stride, part;
};
enum { GROUP = 4 };

SIMD struct depthwise_shape shape_known(const struct depthwise_shape *shape, struct tile t)
{
    struct depthwise_shape s = *shape; /* a copy, which no store can change */
    if (t.stride) {
        s.in_column = s.out_k = B;
        s.in_k = t.stride * B;
    }
    return s;
}

/* The stride if these are the usual distances, otherwise 0. */
static int shape_stride(const struct depthwise_shape *s)
{
    const bool usual = s->in_column == B && s->out_k == B && (s->in_k == B || s->in_k == 2 * B);
    return usual ? (int)(s->in_k / B) : 0;
}

/* What is done at a position that reads in[row of taps][at], with columns [first, last) of the taps. */
typedef void position_fn(struct tile t, int first, int last, const struct depthwise_shape *s,
                         vec tap[TAPS][TAPS], const float *const in[TAPS], ptrdiff_t at, float *out);

/* A line on its way: what the first tap of its next position reads, and its output. */
struct line {
    const float *in;
    float *out;
};

SIMD void line_step(position_fn *position, struct line *l, int group, struct tile t, int first, int last,
                    const struct depthwise_shape *s, vec tap[TAPS][TAPS])
{
    const float *in[TAPS];
#pragma GCC unroll 3
    for (int i = 0; i < t.rows; i++)
        in[i] = vec_pointer(l->in + i * s->in_row);
#pragma GCC unroll 4
    for (int k = 0; k < group; k++)
        position(t, first, last, s, tap, in, k * s->in_k, l->out + k * s->out_k);
    l->in += group * s->in_k;
    l->out += group * s->out_k;
}

/* All lines of an image. Taps or their sums wait in registers. */
SIMD void image_take(position_fn *position, struct tile t, const struct depthwise_shape *s, const float *in,
                     float *out, vec tap[TAPS][TAPS])
{
    const int left = t.columns == TAPS ? s->left : 0, right = t.columns == TAPS ? s->right : 0;
    for (int y = 0; y < s->lines; y++) {
        struct line l = {in + y * s->in_line, out + y * s->out_line};
        for (int n = left; n > 0; n--)
            line_step(position, &l, 1, t, 1, TAPS, s, tap);
        int n = s->depth - left - right;
        for (; t.stride && n >= GROUP; n -= GROUP)
            line_step(position, &l, GROUP, t, 0, t.columns, s, tap);
        for (; n > 0; n--)
            line_step(position, &l, 1, t, 0, t.columns, s, tap);
        for (n = right; n > 0; n--)
            line_step(position, &l, 1, t, 0, TAPS - 1, s, tap);
    }
}

/* The pass of the first vector of a block prefetches what a position is first to read, that of a second one what it writes:
 * some cache lines at a time hide more latency than many at once. */
SIMD void prefetch(struct tile t, const struct depthwise_shape *s, const float *const in[TAPS], ptrdiff_t at,
                   const float *out)
{
    const int new_rows = t.stride < t.rows ? t.stride : t.rows;
    if (t.part > 0)
        __builtin_prefetch(out + s->ahead);
    else
#pragma GCC unroll 2
        for (int i = t.rows - new_rows; i < t.rows; i++)
#pragma GCC unroll 2
            for (int j = 0; j < t.stride; j++)
                __builtin_prefetch(in[i] + at + j * B + s->ahead);
}

/* Positions are short chains that do not depend on each other, so that the processor overlaps them. */
SIMD void filter_position(struct tile t, int first, int last, const struct depthwise_shape *s,
                          vec tap[TAPS][TAPS], const float *const in[TAPS], ptrdiff_t at, float *out)
{
    vec sum = tap[0][first] * vec_load(in[0] + at + first * s->in_column);
#pragma GCC unroll 3
    for (int i = 0; i < t.rows; i++)
#pragma GCC unroll 3
        for (int j = first + (i == 0); j < last; j++)
            vec_multiply_add_at(&sum, tap[i][j], in[i] + at + j * s->in_column);
    vec_store(out, sum);
    prefetch(t, s, in, at, out);
}

SIMD void filter_tile(struct tile t, const struct depthwise_shape *shape, const float *in, const float *taps,
                      float *out)
{
    const struct depthwise_shape s = shape_known(shape, t);
    vec tap[TAPS][TAPS];
#pragma GCC unroll 3
    for (int i = 0; i < t.rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < t.columns; j++)
            tap[i][j] = vec_load(taps + t.part + i * s.tap_row + j * s.tap_column);
    for (int image = 0; image < s.images; image++)
        image_take(filter_position, t, &s, in + t.part + image * s.in_image,
                   out + t.part + image * s.out_image, tap);
}

/* Taps have their own sums, so that no chain waits for the adder, and a pixel of out is loaded once for all. */
SIMD void correlate_position(struct tile t, int first, int last, const struct depthwise_shape *s,
                             vec sum[TAPS][TAPS], const float *const in[TAPS], ptrdiff_t at, float *out)
{
    const vec pixel = vec_load(out);
#pragma GCC unroll 3
    for (int i = 0; i < t.rows; i++)
        if (last - first == 3)
            vec_multiply_add_3_at(sum[i], pixel, in[i] + at, s->in_column);
        else
#pragma GCC unroll 2
            for (int j = first; j < last; j++)
                vec_multiply_add_at(&sum[i][j], pixel, in[i] + at + j * s->in_column);
}

SIMD void correlate_tile(struct tile t, const struct depthwise_shape *shape, const float *in,
                         const float *out, float *taps)
{
    const struct depthwise_shape s = shape_known(shape, t);
    vec sum[TAPS][TAPS];
#pragma GCC unroll 3
    for (int i = 0; i < t.rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < t.columns; j++)
            sum[i][j] = vec_zero();
    for (int image = 0; image < s.images; image++)
        image_take(correlate_position, t, &s, in + t.part + image * s.in_image,
                   (float *)out + t.part + image * s.out_image, sum);
#pragma GCC unroll 3
    for (int i = 0; i < t.rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < t.columns; j++) {
            float *to = taps + t.part + i * s.tap_row + j * s.tap_column;
            vec_store(to, vec_load(to) + sum[i][j]);
        }
}

/* For each vector of a block; three columns of taps at the usual distances, too. */
#define PARTS(tile_fn, rows, columns, ...)                                                                   \
    const int stride = columns == TAPS ? shape_stride(s) : 0;                                                \
    _Pragma("GCC unroll 2") for (int part = 0; part < B; part += VLEN)                                       \
    {                                                                                                        \
        if (stride == 1)                                                                                     \
            tile_fn((struct tile){rows, columns, 1, part}, s, __VA_ARGS__);                                  \
        else if (stride == 2)                                                                                \
            tile_fn((struct tile){rows, columns, 2, part}, s, __VA_ARGS__);                                  \
        else                                                                                                 \
            tile_fn((struct tile){rows, columns, 0, part}, s, __VA_ARGS__);                                  \
    }
#define TILE(rows, columns)                                                                                  \
    static void filter_##rows##x##columns(const struct depthwise_shape *s, const float *in,                  \
                                          const float *taps, float *out)                                     \
    {                                                                                                        \
        PARTS(filter_tile, rows, columns, in, taps, out)                                                     \
    }                                                                                                        \
    static void correlate_##rows##x##columns(const struct depthwise_shape *s, const float *in,               \
                                             const float *out, float *taps)                                  \
    {                                                                                                        \
        PARTS(correlate_tile, rows, columns, in, out, taps)                                                  \
    }
TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(2, 1)
TILE(2, 2)
TILE(2, 3)
TILE(3, 1)
TILE(3, 2)
TILE(3, 3)

static const struct {
    filter_fn *filter;
    correlate_fn *correlate;
} tiles[TAPS][TAPS] = {
    {{filter_1x1, correlate_1x1}, {filter_1x2, correlate_1x2}, {filter_1x3, correlate_1x3}},
    {{filter_2x1, correlate_2x1}, {filter_2x2, correlate_2x2}, {filter_2x3, correlate_2x3}},
    {{filter_3x1, correlate_3x1}, {filter_3x2, correlate_3x2}, {filter_3x3, correlate_3x3}},
};

/* 2 x 2 pixels of out from in[y][k] = a, in[y][k+1] = b, in[y+1][k] = c and in[y+1][k+1] = d:
 *
 *     tap[1][1] a                 tap[1][2] a + tap[1][0] b
 *     tap[2][1] a + tap[0][1] c   tap[2][2] a + tap[2][0] b + tap[0][2] c + tap[0][0] d
 */
SIMD void spread_position(int rows, int columns, vec tap[TAPS][TAPS], vec a, vec b, vec c, vec d, float *out,
                          float *below)
{
    vec right = tap[1][2] * a, under = tap[2][1] * a, both = tap[2][2] * a;
    if (columns > 1) {
        right += tap[1][0] * b;
        both += tap[2][0] * b;
    }
    if (rows > 1) {
        under += tap[0][1] * c;
        both += tap[0][2] * c;
    }
    if (rows > 1 && columns > 1)
        both += tap[0][0] * d;
    vec_store(out, tap[1][1] * a);
    vec_store(out + B, right);
    vec_store(below, under);
    vec_store(below + B, both);
}

/* Reads each pixel once, and prefetches as filter does. */
SIMD void spread_tile(int rows, int part, const struct depthwise_shape *s, const float *in, const float *taps,
                      float *out)
{
    vec tap[TAPS][TAPS];
#pragma GCC unroll 9
    for (int i = 0; i < TAPS * TAPS; i++)
        tap[i / TAPS][i % TAPS] = vec_load(taps + part + i * B);
    for (int y = 0; y < s->lines; y++) {
        const float *at = in + part + y * s->in_line, *at_below = at + (rows > 1 ? s->in_row : 0);
        float *to = out + part + y * s->out_line, *below = to + s->out_line / 2;
        vec a = vec_load(at), c = vec_load(at_below);
        for (int k = 1; k < s->depth; k++, to += 2 * B, below += 2 * B) {
            const vec b = vec_load(at += B), d = vec_load(at_below += B);
            spread_position(rows, 2, tap, a, b, c, d, to, below);
            if (part == 0)
                __builtin_prefetch(at_below + s->ahead);
            else
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++)
                    __builtin_prefetch((i < 2 ? to : below) + i % 2 * B + s->ahead);
            a = b;
            c = d;
        }
        spread_position(rows, 1, tap, a, a, c, c, to, below);
    }
}

static void spread(const struct depthwise_shape *s, const float *in, const float *taps, float *out)
{
    for (int image = 0; image < s->images; image++, in += s->in_image, out += s->out_image)
#pragma GCC unroll 2
        for (int part = 0; part < B; part += VLEN)
            if (s->rows > 1)
                spread_tile(2, part, s, in, taps, out);
            else
                spread_tile(1, part, s, in, taps, out);
}

/* Pixels that no tap reaches. */
static void clear(const struct depthwise_shape *s, float *out)
{
    for (int image = 0; image < s->images; image++, out += s->out_image)
        for (int line = 0; line < s->lines; line++)
            for (int k = 0; k < s->depth; k++)
                for (int part = 0; part < DEPTHWISE_LANES; part += VLEN)
                    vec_store(out + line * s->out_line + k * s->out_k + part, vec_zero());
}

/* `count` positions with any taps: as many chains as keep two ports busy, if there are 8. columns: constant, if it is. */
SIMD void many_positions(int count, int columns, ptrdiff_t in_column, ptrdiff_t in_k, int part,
                         const struct depthwise_shape *s, const float *in, const float *taps, float *out)
{
    vec sum[8];
#pragma GCC unroll 8
    for (int k = 0; k < count; k++)
        sum[k] = vec_zero();
    for (int row = 0; row < s->rows; row++) {
        const float *at = vec_pointer(in + row * s->in_row), *t = taps + row * s->tap_row;
#pragma GCC unroll 5
        for (int column = 0; column < columns; column++, t += s->tap_column) {
            const vec tap = vec_load(t);
#pragma GCC unroll 8
            for (int k = 0; k < count; k++)
                vec_multiply_add_at(&sum[k], tap, at + column * in_column + k * in_k);
        }
    }
    const float *ahead = (part > 0 ? out : in + (s->rows - 1) * s->in_row) + s->ahead;
#pragma GCC unroll 8
    for (int k = 0; k < count; k++) {
        vec_store(out + k * s->out_k, sum[k]);
        __builtin_prefetch(ahead + k * (part > 0 ? s->out_k : in_k));
    }
}

SIMD void many_line(int columns, ptrdiff_t in_column, ptrdiff_t in_k, int part,
                    const struct depthwise_shape *s, const float *in, const float *taps, float *out)
{
    int k = 0;
#define POSITIONS(count)                                                                                     \
    for (; k + count <= s->depth; k += count)                                                                \
        many_positions(count, columns, in_column, in_k, part, s, in + k * in_k, taps, out + k * s->out_k);
    POSITIONS(8)
    POSITIONS(4)
    POSITIONS(2)
    POSITIONS(1)
#undef POSITIONS
}

/* More taps than nine. Five columns at the usual distances, as 5 x 5 has within its borders, are constants. */
static void filter_many(const struct depthwise_shape *s, const float *in, const float *taps, float *out)
{
    for (int image = 0; image < s->images; image++)
        for (int part = 0; part < B; part += VLEN)
            for (int y = 0; y < s->lines; y++) {
                const float *from = in + image * s->in_image + y * s->in_line + part;
                float *to = out + image * s->out_image + y * s->out_line + part;
                if (s->columns == 5 && s->in_column == B && s->in_k == B)
                    many_line(5, B, B, part, s, from, taps + part, to);
                else if (s->columns == 5 && s->in_column == B && s->in_k == 2 * B)
                    many_line(5, B, 2 * B, part, s, from, taps + part, to);
                else
                    many_line(s->columns, s->in_column, s->in_k, part, s, from, taps + part, to);
            }
}

/* The column of a border is one line, too. */
static void filter(const struct depthwise_shape *shape, const float *in, const float *taps, float *out)
{
    struct depthwise_shape s = *shape;
    if (s.depth == 1)
        s.depth = s.lines, s.in_k = s.in_line, s.out_k = s.out_line, s.lines = 1;
    if (s.rows == 0 || s.columns == 0)
        clear(&s, out);
    else if (s.rows > TAPS || s.columns > TAPS)
        filter_many(&s, in, taps, out);
    else
        tiles[s.rows - 1][s.columns - 1].filter(&s, in, taps, out);
}

static void correlate(const struct depthwise_shape *s, const float *in, const float *out, float *taps)
{
    for (int row = 0; row < s->rows; row += TAPS)
        for (int column = 0; column < s->columns; column += TAPS) {
            const int rows = s->rows - row < TAPS ? s->rows - row : TAPS;
            const int columns = s->columns - column < TAPS ? s->columns - column : TAPS;
            tiles[rows - 1][columns - 1].correlate(s, in + row * s->in_row + column * s->in_column, out,
                                                   taps + row * s->tap_row + column * s->tap_column);
        }
}

const struct depthwise_kernel ISA_NAME(depthwise_kernel) = {filter, spread, correlate};
