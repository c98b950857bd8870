/* The depthwise kernels (see depthwise.h). SPDX-License-Identifier: Apache-2.0 */
#if defined(__FMA__) && VLEN == 8 && !defined(__clang__)
#pragma GCC optimize("ira-algorithm=priority") /* as in brgemm.isa.c */
#endif
#include "kernels/depthwise.h"
#include "kernels/simd.h"

/* What belongs to 3 x 3 taps is kept in registers: nine of AVX2's sixteen. */
enum { TAPS = 3 };

/* What a pass over the pixels of a line prefetches, a cache line a pixel, which hides more latency than all at once: the
 * pass of the first vector of a block brings input, that of a second one output. */
struct ahead {
    const float *at;
    ptrdiff_t step;
};

SIMD struct ahead ahead_make(const struct depthwise_shape *s, int part, const float *in, const float *out)
{
    if (part == 0)
        return (struct ahead){in + s->in_ahead, s->in_ahead ? s->in_k : 0};
    return (struct ahead){out + s->out_ahead, s->out_ahead ? s->out_k : 0};
}

/* All taps of a vector wait in registers. Pixels are short chains that do not depend on each other, so that the processor
 * overlaps them. */
SIMD void filter_tile(int rows, int columns, const struct depthwise_shape *s, int part, const float *in,
                      const float *taps, float *out)
{
    const ptrdiff_t in_column = s->in_column, in_row = s->in_row, in_k = s->in_k, out_k = s->out_k;
    vec tap[TAPS][TAPS];
#pragma GCC unroll 3
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < columns; j++)
            tap[i][j] = vec_load(taps + i * s->tap_row + j * s->tap_column);
    for (int line = 0; line < s->lines; line++) {
        const float *at[TAPS];
        float *to = out + line * s->out_line;
#pragma GCC unroll 3
        for (int i = 0; i < rows; i++)
            at[i] = vec_pointer(in + line * s->in_line + i * in_row);
        struct ahead ahead = ahead_make(s, part, at[rows - 1], to);
        for (int k = 0; k < s->depth; k++, to += out_k) {
            __builtin_prefetch(ahead.at);
            ahead.at += ahead.step;
            vec sum = s->accumulate ? vec_load(to) : vec_zero();
#pragma GCC unroll 3
            for (int i = 0; i < rows; i++) {
#pragma GCC unroll 3
                for (int j = 0; j < columns; j++)
                    sum += tap[i][j] * vec_load(at[i] + j * in_column);
                at[i] += in_k;
            }
            vec_store(to, sum);
        }
    }
}

/* Taps have their own sums, so that no chain waits for the adder, and a pixel of out is loaded once for all. */
SIMD void correlate_tile(int rows, int columns, const struct depthwise_shape *s, int part, const float *in,
                         const float *out, float *taps)
{
    const ptrdiff_t in_column = s->in_column, in_row = s->in_row, in_k = s->in_k;
    vec sum[TAPS][TAPS];
#pragma GCC unroll 3
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < columns; j++)
            sum[i][j] = vec_zero();
    for (int image = 0; image < s->images; image++)
        for (int line = 0; line < s->lines; line++) {
            const float *to = out + image * s->out_image + line * s->out_line;
            const float *from = in + image * s->in_image + line * s->in_line, *at[TAPS];
#pragma GCC unroll 3
            for (int i = 0; i < rows; i++)
                at[i] = vec_pointer(from + i * in_row);
            struct ahead ahead = ahead_make(s, part, at[rows - 1], to);
            for (int k = 0; k < s->depth; k++, to += DEPTHWISE_LANES) {
                __builtin_prefetch(ahead.at);
                ahead.at += ahead.step;
                const vec pixel = vec_load(to);
#pragma GCC unroll 3
                for (int i = 0; i < rows; i++) {
#pragma GCC unroll 3
                    for (int j = 0; j < columns; j++)
                        sum[i][j] += pixel * vec_load(at[i] + j * in_column);
                    at[i] += in_k;
                }
            }
        }
#pragma GCC unroll 3
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < columns; j++) {
            float *to = taps + i * s->tap_row + j * s->tap_column;
            vec_store(to, vec_load(to) + sum[i][j]);
        }
}

#define TILE(rows, columns)                                                                                  \
    static void filter_##rows##x##columns(const struct depthwise_shape *s, const float *in,                  \
                                          const float *taps, float *out)                                     \
    {                                                                                                        \
        for (int part = 0; part < DEPTHWISE_LANES; part += VLEN)                                             \
            filter_tile(rows, columns, s, part, in + part, taps + part, out + part);                         \
    }                                                                                                        \
    static void correlate_##rows##x##columns(const struct depthwise_shape *s, const float *in,               \
                                             const float *out, float *taps)                                  \
    {                                                                                                        \
        for (int part = 0; part < DEPTHWISE_LANES; part += VLEN)                                             \
            correlate_tile(rows, columns, s, part, in + part, out + part, taps + part);                      \
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

/* Pixels that no tap reaches. */
static void clear(const struct depthwise_shape *s, float *out)
{
    for (int image = 0; image < s->images; image++, out += s->out_image)
        for (int line = 0; line < s->lines; line++)
            for (int k = 0; k < s->depth; k++)
                for (int part = 0; part < DEPTHWISE_LANES; part += VLEN)
                    vec_store(out + line * s->out_line + k * s->out_k + part, vec_zero());
}

/* The column of a border is one line, too. */
static void filter(const struct depthwise_shape *shape, const float *in, const float *taps, float *out)
{
    struct depthwise_shape s = *shape;
    if (s.depth == 1)
        s.depth = s.lines, s.in_k = s.in_line, s.out_k = s.out_line, s.lines = 1;
    if (s.rows == 0 || s.columns == 0)
        clear(&s, out);
    for (int row = 0; row < s.rows; row += TAPS)
        for (int column = 0; column < s.columns; column += TAPS) {
            const int rows = s.rows - row < TAPS ? s.rows - row : TAPS;
            const int columns = s.columns - column < TAPS ? s.columns - column : TAPS;
            s.accumulate = row > 0 || column > 0;
            for (int image = 0; image < s.images; image++)
                tiles[rows - 1][columns - 1].filter(
                    &s, in + image * s.in_image + row * s.in_row + column * s.in_column,
                    taps + row * s.tap_row + column * s.tap_column, out + image * s.out_image);
        }
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

const struct depthwise_kernel ISA_NAME(depthwise_kernel) = {filter, correlate};
