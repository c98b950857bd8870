/* Axes and strips (see strip.h). SPDX-License-Identifier: Apache-2.0 */
#include "strip.h"

#include "kernels/layout.h"

#include <stdlib.h>
#include <string.h>

/* Output rows at most this wide are worth merging: wider ones fill register tiles alone. */
enum { NARROW_WIDTH = 14 };

bool axis_make(struct axis *axis, const struct extent *e, enum conv_tensor output, int f)
{
    const bool backward = output == CONV_SRC;
    *axis = (struct axis){.out = f,
                          .n = backward ? (e->in - f + e->stride - 1) / e->stride : e->out,
                          .out_step = backward ? e->stride : 1,
                          .in_step = backward ? 1 : e->stride,
                          .tap = malloc(e->kernel * sizeof(struct tap))};
    if (!axis->tap)
        return false;
    for (int i = 0; i < e->kernel; i++) {
        int k = backward ? e->kernel - 1 - i : i;
        int in = backward ? f + e->pad - k * e->dilation : k * e->dilation - e->pad;
        if (!backward || in % e->stride == 0)
            axis->tap[axis->taps++] = (struct tap){k, backward ? in / e->stride : in};
    }
    return true;
}

struct range axis_valid(const struct axis *axis, int position, int in)
{
    struct range r = {0, axis->taps};
    const int at = position * axis->in_step;
    while (r.first < r.last && at + axis->tap[r.first].in < 0)
        r.first++;
    while (r.last > r.first && at + axis->tap[r.last - 1].in >= in)
        r.last--;
    return r;
}

/* Coordinates from the first to the last that `n` positions read, borders included. */
static int span(const struct axis *axis, int n)
{
    return (n - 1) * axis->in_step + axis->tap[axis->taps - 1].in - axis->tap[0].in + 1;
}

static bool inside(const struct axis *axis, int in)
{
    return axis->taps == 0 ||
           (axis->tap[0].in >= 0 && (axis->n - 1) * axis->in_step + axis->tap[axis->taps - 1].in < in);
}

struct strip strip_make(const struct axis *y, const struct axis *x, const struct activation *in, bool gapless,
                        bool in_place, int rows)
{
    const int strips = (y->n + rows - 1) / rows;
    struct strip s = {.kind = DIRECT, .rows = (y->n + strips - 1) / strips};
    const bool within = inside(x, in->w);
    const bool flat = within && gapless && x->in_step == 1 && x->n == in->w && y->in_step == 1;
    /* Of pixels a step apart, one tap reads every other line only, which would leave half of the caches' sets idle. */
    const bool compact =
        gapless && in->block == 16 && (x->n <= NARROW_WIDTH || (x->taps == 1 && x->in_step > 1));
    if (y->taps == 0 || x->taps == 0 || in_place || (within && (flat || !compact))) {
        s.merged = flat;
        s.pixel = (ptrdiff_t)x->in_step * in->block;
        s.row = (ptrdiff_t)y->in_step * in->w * in->block;
        s.block = (ptrdiff_t)in->h * in->w * in->block;
        return s;
    }
    s.kind = compact ? NARROW : WIDE;
    s.merged = s.kind == NARROW;
    s.pixel = (s.kind == NARROW ? 1 : x->in_step) * in->block;
    s.row = (s.kind == NARROW ? x->n : (ptrdiff_t)span(x, x->n)) * in->block;
    s.tap_row = (span(y, s.rows) + y->in_step - 1) / y->in_step * s.row;
    s.tap_column = s.kind == NARROW ? s.tap_row * y->in_step : 0;
    s.block = s.kind == NARROW ? s.tap_column * x->taps : s.tap_row * y->in_step;
    s.floats = (size_t)s.block * in->blocks;
    return s;
}

ptrdiff_t strip_tap(const struct strip *s, const struct axis *y, const struct axis *x,
                    const struct activation *in, int ty, int tx)
{
    if (s->kind == DIRECT)
        return ((ptrdiff_t)y->tap[ty].in * in->w + x->tap[tx].in) * in->block;
    const int dy = y->tap[ty].in - y->tap[0].in, dx = x->tap[tx].in - x->tap[0].in;
    return dy % y->in_step * s->tap_row + dy / y->in_step * s->row +
           (s->kind == NARROW ? tx * s->tap_column : (ptrdiff_t)dx * in->block);
}

/* Copies `n` pixels, the first from column `from`, then every step-th; zero where that is outside. */
static void copy_pixels(const struct activation *in, const float *row, int from, int step, int n, float *to)
{
    const int block = in->block;
    int left = from < 0 ? (-from + step - 1) / step : 0;
    int right = from >= in->w ? 0 : (in->w - 1 - from) / step + 1;
    left = left < n ? left : n;
    right = right < n ? right : n;
    if (right < left)
        right = left;
    memset(to, 0, (size_t)left * block * sizeof(float));
    if (step == 1)
        memcpy(to + (ptrdiff_t)left * block, row + (ptrdiff_t)(from + left) * block,
               (size_t)(right - left) * block * sizeof(float));
    else
        for (int i = left; i < right; i++) {
            const float *pixel = row + ((ptrdiff_t)from + (ptrdiff_t)i * step) * block;
            __builtin_prefetch(pixel + (ptrdiff_t)in->h * in->w * block); /* this pixel of the next block */
            memcpy(to + (ptrdiff_t)i * block, pixel, LAYOUT_BLOCK * sizeof(float));
        }
    memset(to + (ptrdiff_t)right * block, 0, (size_t)(n - right) * block * sizeof(float));
}

/* True if some tap reads rows of this remainder: with a stride above the kernel's height not all are. */
static bool remainder_used(const struct axis *y, int remainder)
{
    for (int t = 0; t < y->taps; t++)
        if ((y->tap[t].in - y->tap[0].in) % y->in_step == remainder)
            return true;
    return false;
}

const float *strip_open(const struct strip *s, const struct axis *y, const struct axis *x,
                        const struct activation *in, const float *image, int y0, float *copy)
{
    if (s->kind == DIRECT)
        return image + y0 * s->row;
    const int rows = y0 + s->rows < y->n ? s->rows : y->n - y0;
    const int top = y0 * y->in_step + y->tap[0].in, height = span(y, rows);
    for (int b = 0; b < in->blocks; b++)
        for (int r = top < 0 ? -top : 0; r < height && top + r < in->h; r++) {
            if (!remainder_used(y, r % y->in_step))
                continue;
            const float *from = image + (((ptrdiff_t)b * in->h + top + r) * in->w) * in->block;
            float *to = copy + b * s->block + r % y->in_step * s->tap_row + r / y->in_step * s->row;
            if (s->kind == WIDE)
                copy_pixels(in, from, x->tap[0].in, 1, (int)(s->row / in->block), to);
            else
                for (int t = 0; t < x->taps; t++)
                    copy_pixels(in, from, x->tap[t].in, x->in_step, x->n, to + t * s->tap_column);
        }
    return copy;
}
