/* im2col and col2im (see columns.h): a strip of output pixels at a time, a tap at a time, its runs in all channels.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"
#include "im2col/runs.h"
#include "kernels/simd.h"
#include "kernels/transpose.h"

#include <stdint.h>

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

/* ~0 for a column that reads the image, 0 for one in a gap. */
typedef int mask __attribute__((vector_size(VLEN * sizeof(int)), aligned(sizeof(int)), may_alias));
typedef int quad_mask __attribute__((vector_size(16), aligned(4), may_alias));

SIMD vec load_masked(const float *from, const int *keep)
{
    return (vec)(*(const mask *)from & *(const mask *)keep);
}

SIMD quad quad_masked(const float *from, const int *keep)
{
    return (quad)(*(const quad_mask *)from & *(const quad_mask *)keep);
}

/* to[i] = keep[i] ? from[i * step] : 0; with a step other than 1, all are kept. */
SIMD void copy(int n, const float *from, const int *keep, int step, float *to)
{
    if (step == 1 && n >= VLEN) {
        /* Aligned stores between two that overlap them. */
        vec_store(to, load_masked(from, keep));
        int i = VLEN - (int)((uintptr_t)to / sizeof *to % VLEN);
        for (; i < n - VLEN; i += VLEN)
            vec_store(to + i, load_masked(from + i, keep + i));
        vec_store(to + n - VLEN, load_masked(from + n - VLEN, keep + n - VLEN));
    } else if (step == 1 && n >= 4) {
        for (int i = 0; i < n - 4; i += 4)
            *(quad *)(to + i) = quad_masked(from + i, keep + i);
        *(quad *)(to + n - 4) = quad_masked(from + n - 4, keep + n - 4);
    } else {
        for (int i = 0; i < n; i++)
            to[i] = step != 1 || keep[i] ? from[(ptrdiff_t)i * step] : 0;
    }
}

/* to[i * step] += keep[i] ? from[i] : 0; likewise. */
SIMD void add(int n, const float *from, const int *keep, int step, float *to)
{
    int i = 0;
    if (step == 1) {
        for (; i + VLEN <= n; i += VLEN)
            vec_store(to + i, vec_load(to + i) + load_masked(from + i, keep + i));
        for (; i + 4 <= n; i += 4)
            *(quad *)(to + i) += quad_masked(from + i, keep + i);
    }
    for (; i < n; i++)
        to[(ptrdiff_t)i * step] += step != 1 || keep[i] ? from[i] : 0;
}

SIMD void zero(int n, float *to)
{
    for (int i = 0; i < n; i++) {
        to[i] = 0;
        __asm__("" : "+r"(to)); /* a few floats only: keeps the compiler from calling memset */
    }
}

/* What all runs of a strip have in common. */
struct strip_places {
    float *image, *q;  /* its first column in the first image's plane, and in Q, of the first channel */
    size_t plane, row; /* from channel to channel: in the image, in Q */
    size_t panel;      /* from panel to panel of Q */
    int channels;
};

enum action { COPY, ADD, ZERO };
enum form { DENSE, STRIDED, OTHER }; /* panels of COLUMNS_PANEL with sw 1, with another sw, another width */

/* A run or a gap, one panel after another, in all channels: this order is twice as fast as one channel after another
 * (measured), for what a panel needs is found once. */
SIMD void move(enum action action, const struct strip_places *p, const struct run *run, const int *keep,
               int step, size_t width)
{
    const ptrdiff_t plane = p->plane, row = p->row;
    const int channels = p->channels;
    for (int i = 0, n; i < run->count; i += n) {
        const size_t at = run->at + i, rest = width - at % width;
        n = (size_t)(run->count - i) < rest ? run->count - i : (int)rest;
        const int *mine = keep + at;
        float *image = p->image + run->from + (ptrdiff_t)i * step;
        float *q = p->q + at / width * p->panel + at % width;
        if (action == COPY && step == 1 && n == COLUMNS_PANEL)
            for (int c = 0; c < channels; c++)
                for (int v = 0; v < COLUMNS_PANEL; v += VLEN)
                    vec_store(q + c * row + v, load_masked(image + c * plane + v, mine + v));
        else if (action == COPY && n == COLUMNS_PANEL)
            for (int c = 0; c < channels; c++)
                copy(COLUMNS_PANEL, image + c * plane, mine, step, q + c * row);
        else if (action == COPY)
            for (int c = 0; c < channels; c++)
                copy(n, image + c * plane, mine, step, q + c * row);
        else if (action == ADD && n == COLUMNS_PANEL)
            for (int c = 0; c < channels; c++)
                add(COLUMNS_PANEL, q + c * row, mine, step, image + c * plane);
        else if (action == ADD)
            for (int c = 0; c < channels; c++)
                add(n, q + c * row, mine, step, image + c * plane);
        else
            for (int c = 0; c < channels; c++)
                zero(n, q + c * row);
    }
}

/* All of a block, strip by strip and tap by tap; `form` is a constant at the calls. */
SIMD void walk(const struct conv_problem *p, const struct columns_block *b, float *src, float *q,
               enum action action, enum form form)
{
    const int step = form == DENSE ? 1 : p->sw;
    const size_t width = form != OTHER ? COLUMNS_PANEL : b->width;
    const size_t src_plane = (size_t)p->ih * p->iw, dst_plane = (size_t)p->oh * p->ow;
    const size_t taps = (size_t)p->kh * p->kw, panel = b->channels * taps * width;
    struct strip s;
    for (size_t x = 0; x < b->pixels; x += STRIP) {
        const int count = b->pixels - x < STRIP ? (int)(b->pixels - x) : STRIP;
        struct strip_places at = {.image =
                                      src + ((b->pixel + x) / dst_plane * p->ic + b->channel) * src_plane,
                                  .plane = src_plane,
                                  .row = taps * width,
                                  .panel = panel,
                                  .channels = b->channels};
        for (size_t tap = 0; tap < taps; tap++) {
            runs_find(p, b->pixel + x, count, (int)tap, &s);
            if (x + count == b->pixels)
                runs_add_gap(&s, count, (int)((width - b->pixels % width) % width));
            at.q = q + x / width * panel + tap * width + x % width;
            for (int i = 0; i < s.runs; i++)
                move(action, &at, &s.run[i], s.keep, step, width);
            for (int i = 0; action == COPY && i < s.gaps; i++)
                move(ZERO, &at, &s.gap[i], s.keep, 1, width);
        }
    }
}

SIMD void walk_any(const struct conv_problem *p, const struct columns_block *b, float *src, float *q,
                   enum action action)
{
    if (b->width != COLUMNS_PANEL)
        walk(p, b, src, q, action, OTHER);
    else if (p->sw == 1)
        walk(p, b, src, q, action, DENSE);
    else
        walk(p, b, src, q, action, STRIDED);
}

static void gather(const struct conv_problem *p, const struct columns_block *b, const float *src, float *q)
{
    walk_any(p, b, (float *)src, q, COPY);
}

static void scatter(const struct conv_problem *p, const struct columns_block *b, float *q, float *src)
{
    walk_any(p, b, src, q, ADD);
}

static void transpose(size_t rows, size_t cols, const float *from, size_t from_stride, float *to,
                      size_t to_stride)
{
    enum { LINE = 16 }; /* whole lines are read and written before the next */
    const size_t whole_rows = rows / 4 * 4, whole_cols = cols / 4 * 4;
    for (size_t r0 = 0; r0 < whole_rows; r0 += LINE)
        for (size_t c0 = 0; c0 < whole_cols; c0 += LINE)
            for (size_t c = c0; c < whole_cols && c < c0 + LINE; c += 4)
                for (size_t r = r0; r < whole_rows && r < r0 + LINE; r += 4)
                    transpose_4x4(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = r < whole_rows ? whole_cols : 0; c < cols; c++)
            to[c * to_stride + r] = from[r * from_stride + c];
}

const struct columns_kernel ISA_NAME(columns_kernel) = {gather, scatter, transpose};
