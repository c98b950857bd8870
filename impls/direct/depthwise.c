/* Depthwise: 16 channels side by side. All tensors are read and written in place: output pixels for which the same taps
 * are inside the image are one piece, and a call of the kernel takes all these taps. So no pass copies a border, and
 * the gradient reads dst once for nine taps.
 *
 * Threads share (block of channels, images, piece of rows). In the gradient that is cut into parts, whoever computes
 * them; one that begins in the middle of a block sums into weights of its own, which are added at the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"

#include "kernels/depthwise.h"
#include "phase.h"
#include "share.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = LAYOUT_BLOCK };

/* Pixels of a unit. Forward and backward write a unit once for each vector of a block, so that it must not push what was
 * prefetched out of level 1; for several smaller images all is set up once, which made 7x7 a fifth faster. The gradient adds
 * its sums up after each unit, of several images if need be: both operands (64 bytes a pixel each) stay in 32 KB. */
enum { PIXELS = 60, GRADIENT_PIXELS = 196 };

/* Pixels between what is read and what is prefetched: 4 KB of a stream; with none and with 32 forward was slower (measured). */
enum { AHEAD = 64 };

/* Parts of the gradient for each thread: so many that waiting for the last one costs at most 3 % of the time. */
enum { PARTS = 32 };

/* Positions first .. first + count - 1 of an axis, for which the same taps are valid. */
struct piece {
    const struct axis *axis;
    int first, count;
    struct range taps;
};

/* Rows or columns of an image: the phases of the output (see strip.h), cut into pieces. */
struct cut {
    struct axis *axis;
    struct piece *piece;
    int axes, pieces;
};

struct depthwise {
    struct native native;
    const struct depthwise_kernel *kernel;
    enum conv_tensor output, in, out; /* out: dst in the gradient, too */
    struct activation from, to;       /* an image of a block, read and written */
    struct cut rows, columns;
    int threads, together; /* together: images in a call */
    int parts;             /* of the gradient */
    bool hops;             /* the gradient of a small image: the next one in memory is another block's */
    long units;            /* (images, piece of rows) of a block */
};

static int piece_order(const void *a, const void *b)
{
    const struct piece *p = a, *q = b;
    return p->axis->out + p->first * p->axis->out_step - q->axis->out - q->first * q->axis->out_step;
}

/* Pieces of at most `most` positions, in the order of memory. False: no memory. */
static bool cut_make(struct cut *cut, const struct extent *e, enum conv_tensor output, int most)
{
    const bool backward = output == CONV_SRC;
    const int axes = !backward ? 1 : e->stride < e->in ? e->stride : e->in;
    cut->axis = calloc((size_t)axes, sizeof *cut->axis);
    cut->piece = malloc(sizeof *cut->piece * (size_t)(backward ? e->in : e->out));
    if (!cut->axis || !cut->piece)
        return false;
    for (; cut->axes < axes; cut->axes++) {
        struct axis *axis = &cut->axis[cut->axes];
        if (!axis_make(axis, e, output, cut->axes))
            return false;
        for (int at = 0; at < axis->n; at++) {
            const struct range taps = axis_valid(axis, at, backward ? e->out : e->in);
            struct piece *last = at > 0 ? &cut->piece[cut->pieces - 1] : NULL;
            if (last && last->count < most && last->taps.first == taps.first && last->taps.last == taps.last)
                last->count++;
            else
                cut->piece[cut->pieces++] = (struct piece){axis, at, 1, taps};
        }
    }
    qsort(cut->piece, (size_t)cut->pieces, sizeof *cut->piece, piece_order);
    return true;
}

/* Distance of neighboring valid taps in the input, and of their weights. */
static struct tap tap_step(const struct piece *piece)
{
    const struct tap *tap = piece->axis->tap + piece->taps.first;
    return piece->taps.last - piece->taps.first > 1 ? (struct tap){tap[1].k - tap[0].k, tap[1].in - tap[0].in}
                                                    : (struct tap){0, 0};
}

/* What the first position of a piece reads first. */
static struct tap tap_first(const struct piece *piece)
{
    if (piece->taps.first >= piece->taps.last)
        return (struct tap){0, 0};
    const struct tap *tap = &piece->axis->tap[piece->taps.first];
    return (struct tap){tap->k, piece->first * piece->axis->in_step + tap->in};
}

/* Pieces y and x of images in a row. weights: of the block. */
static void compute(const struct depthwise *d, struct depthwise_shape s, const struct piece *y,
                    const struct piece *x, const float *in, float *out, float *weights)
{
    const struct tap first_y = tap_first(y), first_x = tap_first(x), step_y = tap_step(y),
                     step_x = tap_step(x);
    const ptrdiff_t kw = d->native.problem.kw;
    s.lines = y->count;
    s.depth = x->count;
    s.rows = y->taps.last - y->taps.first;
    s.columns = x->taps.last - x->taps.first;
    s.in_line = (ptrdiff_t)y->axis->in_step * d->from.w * B;
    s.in_k = (ptrdiff_t)x->axis->in_step * B;
    s.in_row = (ptrdiff_t)step_y.in * d->from.w * B;
    s.in_column = (ptrdiff_t)step_x.in * B;
    s.out_line = (ptrdiff_t)y->axis->out_step * d->to.w * B;
    s.out_k = (ptrdiff_t)x->axis->out_step * B;
    s.tap_row = step_y.k * kw * B;
    s.tap_column = (ptrdiff_t)step_x.k * B;
    if (x->count == 1 || x->axis->out || y->axis->out) /* of a strided output, one phase prefetches for all */
        s.in_ahead = s.out_ahead = 0;
    in += ((ptrdiff_t)first_y.in * d->from.w + first_x.in) * B;
    out += ((ptrdiff_t)(y->axis->out + y->first * y->axis->out_step) * d->to.w + x->axis->out +
            x->first * x->axis->out_step) *
           B;
    weights += (first_y.k * kw + first_x.k) * B;
    if (d->output != CONV_WEI)
        d->kernel->filter(&s, in, weights, out);
    else if (s.rows > 0 && s.columns > 0)
        d->kernel->correlate(&s, in, out, weights);
}

static ptrdiff_t floats(const struct activation *a)
{
    return (ptrdiff_t)a->h * a->w * B;
}

static void take_unit(const struct depthwise *d, int group, int image, int row,
                      float *const tensor[CONV_TENSORS], float *weights)
{
    const struct conv_problem *q = &d->native.problem;
    const struct piece *y = &d->rows.piece[row];
    struct depthwise_shape s = {.images = q->mb - image < d->together ? q->mb - image : d->together,
                                .in_image = q->g * floats(&d->from),
                                .out_image = q->g * floats(&d->to),
                                .in_ahead = AHEAD * B,
                                .out_ahead = AHEAD * B};
    if (d->hops) {
        s.in_ahead = s.images * s.in_image;
        s.out_ahead = s.images * s.out_image;
    }
    const ptrdiff_t plane = (ptrdiff_t)image * q->g + group;
    for (const struct piece *x = d->columns.piece; x < d->columns.piece + d->columns.pieces; x++)
        compute(d, s, y, x, tensor[d->in] + plane * floats(&d->from), tensor[d->out] + plane * floats(&d->to),
                weights);
}

/* Forward and backward: units in the order of memory, which makes both tensors streams. */
static void run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    (void)scratch;
    const struct depthwise *d = state;
    const int groups = d->native.problem.g;
    const long total = groups * d->units, rows = d->rows.pieces;
    struct share share[d->threads];
    share_evenly(share, d->threads, total);
#pragma omp parallel num_threads(d->threads)
    {
        const int t = omp_get_thread_num();
        for (long at, end; share_take(share, d->threads, t, &at, &end);)
            for (; at < end; at++) {
                const int group = (int)(at / rows % groups), image = (int)(at / rows / groups) * d->together;
                take_unit(d, group, image, (int)(at % rows), tensor,
                          tensor[CONV_WEI] + group * native_weight_block(&d->native));
            }
        phase_mark(PHASE_MULTIPLY);
    }
}

/* Adds what the part [begin, end) summed into its own block, if it began in the middle of one. */
static void add_partial(const struct depthwise *d, long begin, long end, const float *partial, float *weights)
{
    const size_t block = native_weight_block(&d->native);
    float *to = weights + begin / d->units * block;
    for (size_t n = 0; begin % d->units && begin < end && n < block; n++)
        to[n] += partial[n];
}

/* Units [begin, end): those of a block that began before them into `partial`. */
static void sum_part(const struct depthwise *d, long begin, long end, float *const tensor[CONV_TENSORS],
                     float *partial)
{
    const size_t block = native_weight_block(&d->native);
    const int rows = d->rows.pieces;
    float *dw = partial;
    for (long at = begin; at < end; at++) {
        const long unit = at % d->units;
        if (unit == 0)
            dw = tensor[CONV_WEI] + at / d->units * block;
        if (at == begin || unit == 0)
            memset(dw, 0, block * sizeof(float));
        take_unit(d, (int)(at / d->units), (int)(unit / rows) * d->together, (int)(unit % rows), tensor, dw);
    }
}

static void run_gradient(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct depthwise *d = state;
    const size_t block = native_weight_block(&d->native);
    const long total = d->native.problem.g * d->units;
    struct share share[d->threads];
    share_evenly(share, d->threads, d->parts);
#pragma omp parallel num_threads(d->threads)
    {
        const int t = omp_get_thread_num();
        for (long part, last; share_take(share, d->threads, t, &part, &last);)
            for (; part < last; part++)
                sum_part(d, total * part / d->parts, total * (part + 1) / d->parts, tensor,
                         scratch + part * block);
#pragma omp barrier
        phase_mark(PHASE_MULTIPLY);
#pragma omp master
        for (int part = 1; part < d->parts; part++)
            add_partial(d, total * part / d->parts, total * (part + 1) / d->parts, scratch + part * block,
                        tensor[CONV_WEI]);
        phase_mark(PHASE_REDUCE);
    }
}

static void cut_free(struct cut *cut)
{
    for (int i = 0; i < cut->axes; i++)
        free(cut->axis[i].tap);
    free(cut->axis);
    free(cut->piece);
}

static void destroy(void *state)
{
    struct depthwise *d = state;
    cut_free(&d->rows);
    cut_free(&d->columns);
    free(d);
}

static const char *plan(struct conv_plan *plan, const struct native *native, void **state)
{
    struct depthwise *d = calloc(1, sizeof *d);
    if (!d)
        return "out of memory";
    const struct conv_problem *q = &native->problem;
    const bool backward = plan->output == CONV_SRC;
    d->native = *native;
    d->kernel = depthwise_kernel(plan->isa);
    d->output = plan->output;
    d->in = backward ? CONV_DST : CONV_SRC;
    d->out = backward ? CONV_SRC : CONV_DST;
    d->from = backward ? native->dst : native->src;
    d->to = backward ? native->src : native->dst;
    d->threads = plan->threads;
    const struct extent h = {q->ih, q->oh, q->kh, q->sh, q->ph, q->dh + 1};
    const struct extent w = {q->iw, q->ow, q->kw, q->sw, q->pw, q->dw + 1};
    const int most = plan->output == CONV_WEI ? GRADIENT_PIXELS : PIXELS;
    if (!cut_make(&d->rows, &h, d->output, 1 + most / (d->to.w + 1)) ||
        !cut_make(&d->columns, &w, d->output, d->to.w)) {
        destroy(d);
        return "out of memory";
    }
    const long pixels = (long)d->to.h * d->to.w;
    d->hops = d->output == CONV_WEI && pixels <= GRADIENT_PIXELS;
    d->together = d->hops || pixels <= PIXELS ? (int)(GRADIENT_PIXELS / pixels) : 1;
    d->together = d->together < q->mb ? d->together : q->mb;
    d->units = (long)d->rows.pieces * ((q->mb + d->together - 1) / d->together);
    d->parts = d->threads > 1 ? PARTS * d->threads : 1;
    plan->scratch_bytes =
        d->output == CONV_WEI ? sizeof(float) * native_weight_block(native) * (size_t)d->parts : 0;
    snprintf(plan->detail, sizeof plan->detail, "depthwise pieces of %d rows and %d columns",
             d->rows.piece->count, d->columns.piece->count);
    *state = d;
    return NULL;
}

const struct engine depthwise_engine = {plan, run, destroy};
const struct engine depthwise_gradient_engine = {plan, run_gradient, destroy};
