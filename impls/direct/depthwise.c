/* The weight gradient of depthwise: 16 channels side by side, and dw(tap) is a sum over pixels of src(moved by the tap) *
 * dst. Both tensors are read in place: pixels for which the same taps are inside the image are one piece, and a call of
 * the kernel takes all these taps, so that dst is read once for nine of them.
 *
 * Threads share (block of channels, images, piece of rows) evenly: a thread that begins in the middle of a block sums
 * into dw of its own, which is added at the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"

#include "kernels/lanes.h"
#include "phase.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = LAYOUT_BLOCK };

/* Pixels of a call, of several images if need be: both operands (64 bytes a pixel each) stay in 32 KB while the kernel
 * reads them once for each vector of a block and for each nine taps. */
enum { PIXELS = 196 };

/* Output positions first .. first + count - 1, for which the same taps are valid. */
struct piece {
    int first, count;
    struct range taps;
};

struct depthwise {
    struct native native;
    correlate_fn *correlate;
    struct axis y, x;
    struct piece *rows, *columns; /* of an image; as many: */
    int row_pieces, column_pieces;
    int threads, together; /* together: images in a call */
    long units;            /* (images, piece of rows) of a block */
};

/* Cuts an axis into pieces of at most `most` positions. NULL: no memory. */
static struct piece *cut(const struct axis *axis, int in, int most, int *pieces)
{
    struct piece *piece = malloc(sizeof *piece * (size_t)axis->n);
    *pieces = 0;
    for (int at = 0; piece && at < axis->n; at++) {
        const struct range taps = axis_valid(axis, at, in);
        struct piece *last = *pieces ? &piece[*pieces - 1] : NULL;
        if (last && last->count < most && last->taps.first == taps.first && last->taps.last == taps.last)
            last->count++;
        else
            piece[(*pieces)++] = (struct piece){at, 1, taps};
    }
    return piece;
}

static void add_unit(const struct depthwise *d, int group, long unit, float *const tensor[CONV_TENSORS],
                     float *dw)
{
    const struct conv_problem *q = &d->native.problem;
    const int image = (int)(unit / d->row_pieces) * d->together;
    const struct piece *row = &d->rows[unit % d->row_pieces];
    const ptrdiff_t src_plane = (ptrdiff_t)q->ih * q->iw * B, dst_plane = (ptrdiff_t)q->oh * q->ow * B;
    const float *src = tensor[CONV_SRC] + ((ptrdiff_t)image * q->g + group) * src_plane;
    const float *dst = tensor[CONV_DST] + ((ptrdiff_t)image * q->g + group) * dst_plane;
    struct correlate_shape s = {.images = q->mb - image < d->together ? q->mb - image : d->together,
                                .lines = row->count,
                                .rows = row->taps.last - row->taps.first,
                                .a_image = q->g * src_plane,
                                .a_line = (ptrdiff_t)q->sh * q->iw * B,
                                .a_k = (ptrdiff_t)q->sw * B,
                                .a_row = (ptrdiff_t)(q->dh + 1) * q->iw * B,
                                .a_column = (ptrdiff_t)(q->dw + 1) * B,
                                .b_image = q->g * dst_plane,
                                .b_line = (ptrdiff_t)q->ow * B,
                                .c_row = (ptrdiff_t)q->kw * B};
    for (const struct piece *x = d->columns; x < d->columns + d->column_pieces; x++) {
        s.depth = x->count;
        s.columns = x->taps.last - x->taps.first;
        if (s.rows <= 0 || s.columns <= 0)
            continue;
        const struct tap *y_tap = &d->y.tap[row->taps.first], *x_tap = &d->x.tap[x->taps.first];
        const ptrdiff_t ih = (ptrdiff_t)row->first * q->sh + y_tap->in;
        const ptrdiff_t iw = (ptrdiff_t)x->first * q->sw + x_tap->in;
        d->correlate(&s, src + (ih * q->iw + iw) * B, dst + ((ptrdiff_t)row->first * q->ow + x->first) * B,
                     dw + (y_tap->k * q->kw + x_tap->k) * B);
    }
}

/* Adds what the thread of [begin, end) summed into its own block, if it began in the middle of one. */
static void add_partial(const struct depthwise *d, long begin, long end, const float *partial, float *weights)
{
    const size_t block = native_weight_block(&d->native);
    float *to = weights + begin / d->units * block;
    for (size_t n = 0; begin % d->units && begin < end && n < block; n++)
        to[n] += partial[n];
}

static void run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct depthwise *d = state;
    const size_t block = native_weight_block(&d->native);
    const long total = d->native.problem.g * d->units;
#pragma omp parallel num_threads(d->threads)
    {
        const int t = omp_get_thread_num(), threads = omp_get_num_threads();
        const long begin = total * t / threads, end = total * (t + 1) / threads;
        float *dw = scratch + t * block;
        for (long at = begin; at < end; at++) {
            const int group = (int)(at / d->units);
            if (at % d->units == 0)
                dw = tensor[CONV_WEI] + group * block;
            if (at == begin || at % d->units == 0)
                memset(dw, 0, block * sizeof(float));
            add_unit(d, group, at % d->units, tensor, dw);
        }
#pragma omp barrier
        phase_mark(PHASE_MULTIPLY);
        for (int other = 1; t == 0 && other < threads; other++)
            add_partial(d, total * other / threads, total * (other + 1) / threads, scratch + other * block,
                        tensor[CONV_WEI]);
        phase_mark(PHASE_REDUCE);
    }
}

static void destroy(void *state)
{
    struct depthwise *d = state;
    free(d->y.tap);
    free(d->x.tap);
    free(d->rows);
    free(d->columns);
    free(d);
}

static const char *plan(struct conv_plan *plan, const struct native *native, void **state)
{
    struct depthwise *d = calloc(1, sizeof *d);
    if (!d)
        return "out of memory";
    d->native = *native;
    d->correlate = lanes_kernel(plan->isa)->correlate;
    d->threads = plan->threads;
    const struct conv_problem *q = &native->problem;
    const struct extent h = {q->ih, q->oh, q->kh, q->sh, q->ph, q->dh + 1};
    const struct extent w = {q->iw, q->ow, q->kw, q->sw, q->pw, q->dw + 1};
    const long pixels = (long)q->oh * q->ow;
    if (axis_make(&d->y, &h, CONV_WEI, 0) && axis_make(&d->x, &w, CONV_WEI, 0)) {
        d->rows = cut(&d->y, q->ih, 1 + PIXELS / (q->ow + 1), &d->row_pieces);
        d->columns = cut(&d->x, q->iw, q->ow, &d->column_pieces);
    }
    if (!d->rows || !d->columns) {
        destroy(d);
        return "out of memory";
    }
    d->together = pixels > PIXELS ? 1 : (int)(PIXELS / pixels);
    d->together = d->together < q->mb ? d->together : q->mb;
    d->units = (long)d->row_pieces * ((q->mb + d->together - 1) / d->together);
    plan->scratch_bytes = sizeof(float) * native_weight_block(native) * (size_t)d->threads;
    snprintf(plan->detail, sizeof plan->detail, "depthwise pieces of %d rows and %d columns", d->rows->count,
             d->columns->count);
    *state = d;
    return NULL;
}

const struct engine depthwise_engine = {plan, run, destroy};
