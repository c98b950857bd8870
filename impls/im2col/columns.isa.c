/* im2col and col2im (see columns.h), a run of pixels of one output row at a time: for one tap such a run is a
 * strided piece of one input row, with zeros where it leaves the image. SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"
#include "kernels/simd.h"

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

SIMD void copy(int n, const float *from, int step, float *to)
{
    if (step > 1) {
        for (int i = 0; i < n; i++)
            to[i] = from[(ptrdiff_t)i * step];
        return;
    }
    int i = 0;
    for (; i + VLEN <= n; i += VLEN)
        vec_store(to + i, vec_load(from + i));
    for (; i + 4 <= n; i += 4)
        *(quad *)(to + i) = *(const quad *)(from + i);
    for (; i < n; i++)
        to[i] = from[i];
}

SIMD void add(int n, const float *from, int step, float *to)
{
    if (step > 1) {
        for (int i = 0; i < n; i++)
            to[(ptrdiff_t)i * step] += from[i];
        return;
    }
    int i = 0;
    for (; i + VLEN <= n; i += VLEN)
        vec_store(to + i, vec_load(to + i) + vec_load(from + i));
    for (; i + 4 <= n; i += 4)
        *(quad *)(to + i) += *(const quad *)(from + i);
    for (; i < n; i++)
        to[i] += from[i];
}

SIMD void zero(int n, float *to)
{
    for (int i = 0; i < n; i++)
        to[i] = 0;
}

/* A run: `count` pixels of row oh of image mb from column ow on, at column `at` of the block. */
struct run {
    int mb, oh, ow, count;
    size_t at;
};

/* Of a run and a tap: `skip` pixels left of the image, `count` inside, the rest right of it. */
struct inside {
    int skip, count;
    ptrdiff_t from; /* the first pixel inside, in floats from the image's channel */
};

static int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

static struct inside inside(const struct conv_problem *p, const struct run *run, int kh, int kw)
{
    const int ih = run->oh * p->sh - p->ph + kh * (p->dh + 1);
    if (ih < 0 || ih >= p->ih)
        return (struct inside){run->count, 0, 0};
    /* pixel i of the run reads column iw + i * sw */
    const int iw = run->ow * p->sw - p->pw + kw * (p->dw + 1);
    int first = iw >= 0 ? 0 : clamp((-iw + p->sw - 1) / p->sw, 0, run->count);
    int end = iw >= p->iw ? 0 : clamp((p->iw - 1 - iw) / p->sw + 1, 0, run->count);
    if (end <= first)
        return (struct inside){run->count, 0, 0};
    return (struct inside){first, end - first, (ptrdiff_t)ih * p->iw + iw + (ptrdiff_t)first * p->sw};
}

/* One run, all taps and channels; `gather` is a constant at both calls. */
SIMD void move(const struct conv_problem *p, const struct columns_block *b, const struct run *run, float *src,
               float *q, bool gather)
{
    const int taps = p->kh * p->kw;
    const size_t plane = (size_t)p->ih * p->iw, row = taps * b->stride;
    float *image = src + ((size_t)run->mb * p->ic + b->channel) * plane;
    for (int tap = 0; tap < taps; tap++) {
        struct inside in = inside(p, run, tap / p->kw, tap % p->kw);
        float *to = q + tap * b->stride + run->at, *from = image + in.from;
        for (int c = 0; c < b->channels; c++, to += row, from += plane)
            if (gather) {
                zero(in.skip, to);
                copy(in.count, from, p->sw, to + in.skip);
                zero(run->count - in.skip - in.count, to + in.skip + in.count);
            } else {
                add(in.count, to + in.skip, p->sw, from);
            }
    }
}

SIMD void walk(const struct conv_problem *p, const struct columns_block *b, float *src, float *q, bool gather)
{
    const size_t plane = (size_t)p->oh * p->ow;
    for (size_t at = 0; at < b->pixels;) {
        const size_t x = b->pixel + at;
        struct run run = {(int)(x / plane), (int)(x % plane / p->ow), (int)(x % p->ow), 0, at};
        run.count = b->pixels - at < (size_t)(p->ow - run.ow) ? (int)(b->pixels - at) : p->ow - run.ow;
        move(p, b, &run, src, q, gather);
        at += run.count;
    }
}

static void gather(const struct conv_problem *p, const struct columns_block *b, const float *src, float *q)
{
    walk(p, b, (float *)src, q, true);
}

static void scatter(const struct conv_problem *p, const struct columns_block *b, const float *q, float *src)
{
    walk(p, b, src, (float *)q, false);
}

SIMD void transpose_4x4(const float *from, size_t from_stride, float *to, size_t to_stride)
{
    quad r0 = *(const quad *)from, r1 = *(const quad *)(from + from_stride);
    quad r2 = *(const quad *)(from + 2 * from_stride), r3 = *(const quad *)(from + 3 * from_stride);
    quad a = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), b = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
    quad c = __builtin_shufflevector(r0, r1, 2, 6, 3, 7), d = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
    *(quad *)to = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    *(quad *)(to + to_stride) = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    *(quad *)(to + 2 * to_stride) = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    *(quad *)(to + 3 * to_stride) = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

static void transpose(size_t rows, size_t cols, const float *from, size_t from_stride, float *to,
                      size_t to_stride)
{
    const size_t whole_rows = rows / 4 * 4, whole_cols = cols / 4 * 4;
    for (size_t c = 0; c < whole_cols; c += 4)
        for (size_t r = 0; r < whole_rows; r += 4)
            transpose_4x4(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = r < whole_rows ? whole_cols : 0; c < cols; c++)
            to[c * to_stride + r] = from[r * from_stride + c];
}

const struct columns_kernel ISA_NAME(columns_kernel) = {gather, scatter, transpose};
