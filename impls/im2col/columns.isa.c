/* im2col and col2im (see columns.h). For one tap, a strip of output pixels is a few runs of input pixels and the
 * gaps between them, where the tap leaves the image. Runs that keep their distance are joined across the gap, which
 * is made zero apart: with as many output as input columns and stride 1, a strip of one image is a single run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"
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

/* Columns [at, at + count) of a strip; `from` is where a run's pixels begin, in floats from the plane of a
 * channel in the first image. */
struct run {
    ptrdiff_t from;
    int at, count;
};

enum { STRIP = 256 };
struct strip {
    int runs, gaps;
    struct run run[STRIP], gap[STRIP];
    int keep[STRIP]; /* inside the runs: what is not in a joined gap */
};

static int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

static void add_gap(struct strip *s, int at, int count)
{
    struct run *end = s->gap + s->gaps;
    if (count == 0)
        return;
    if (s->gaps > 0 && end[-1].at + end[-1].count == at)
        end[-1].count += count;
    else
        s->gap[s->gaps++] = (struct run){0, at, count};
}

static void add_run(struct strip *s, bool join, struct run run)
{
    struct run *end = s->run + s->runs;
    for (int i = run.at; i < run.at + run.count; i++)
        s->keep[i] = ~0;
    if (join && s->runs > 0 && end[-1].from - end[-1].at == run.from - run.at) {
        const int after = end[-1].at + end[-1].count;
        for (int i = after; i < run.at; i++)
            s->keep[i] = 0;
        s->gaps -= after < run.at;
        end[-1].count = run.at + run.count - end[-1].at;
    } else {
        s->run[s->runs++] = run;
    }
}

/* What tap (kh, kw) reads for `count` output pixels of the minibatch from `pixel` on. step: sw. */
SIMD void find_runs(const struct conv_problem *p, size_t pixel, int count, int kh, int kw, int step,
                    struct strip *s)
{
    const size_t plane = (size_t)p->oh * p->ow, image = (size_t)p->ic * p->ih * p->iw;
    int oh = (int)(pixel % plane / p->ow), ow = (int)(pixel % p->ow), n;
    ptrdiff_t from = 0;
    s->runs = s->gaps = 0;
    for (int at = 0; at < count; at += n, ow = 0) {
        n = count - at < p->ow - ow ? count - at : p->ow - ow;
        /* pixel i of this row reads column iw + i * step */
        const int ih = oh * p->sh - p->ph + kh * (p->dh + 1), iw = ow * step - p->pw + kw * (p->dw + 1);
        const bool outside = ih < 0 || ih >= p->ih || iw >= p->iw;
        const int first = outside || iw >= 0 ? 0 : clamp((-iw + step - 1) / step, 0, n);
        const int end = outside ? 0 : clamp((p->iw - 1 - iw) / step + 1, first, n);
        add_gap(s, at, first);
        if (end > first)
            add_run(s, step == 1,
                    (struct run){from + (ptrdiff_t)ih * p->iw + iw + (ptrdiff_t)first * step, at + first,
                                 end - first});
        add_gap(s, at + end, n - end);
        if (++oh == p->oh) {
            oh = 0;
            from += image;
        }
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

/* A run or a gap in all channels, one panel after another. `action`, `step` if it is 1 and `width` if it is that of small
 * panels are constants at the calls. */
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

/* All of a block, strip by strip and tap by tap; constants as in move. */
SIMD void walk(const struct conv_problem *p, const struct columns_block *b, float *src, float *q,
               enum action action, int step, size_t width)
{
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
            find_runs(p, b->pixel + x, count, (int)tap / p->kw, (int)tap % p->kw, step, &s);
            if (x + count == b->pixels)
                add_gap(&s, count, (int)((width - b->pixels % width) % width));
            at.q = q + x / width * panel + tap * width + x % width;
            for (int i = 0; i < s.runs; i++)
                move(action, &at, &s.run[i], s.keep, step, width);
            for (int i = 0; action == COPY && i < s.gaps; i++)
                move(ZERO, &at, &s.gap[i], s.keep, 1, width);
        }
    }
}

/* With the constants of what is common: stride 1, small panels. */
SIMD void walk_any(const struct conv_problem *p, const struct columns_block *b, float *src, float *q,
                   enum action action)
{
    if (b->width != COLUMNS_PANEL)
        walk(p, b, src, q, action, p->sw, b->width);
    else if (p->sw == 1)
        walk(p, b, src, q, action, 1, COLUMNS_PANEL);
    else
        walk(p, b, src, q, action, p->sw, COLUMNS_PANEL);
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
