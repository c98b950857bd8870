/* Depthwise: 16 channels side by side. All tensors are read and written in place: output pixels for which the same taps
 * are inside the image are one piece, and a call of the kernel takes all these taps. So no pass copies a border, and
 * the gradient reads dst once for nine taps. Of three taps in a row the kernel itself leaves out those beyond the border.
 *
 * Threads share units (images, block of channels, rows) in the order of memory, which makes both tensors streams. In the
 * gradient each unit has sums of its own, whoever computes it, which are added at the end.
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

/* Pixels between what is read or written and what is prefetched: 4 KB of a stream. It made 14x14 a fifth faster; of small
 * images, which are some streams side by side, it made a sixth slower, and the gradient by as much (measured, in turns). */
enum { AHEAD = 64 };

/* Units of the gradient for each thread: so many that waiting for the last one costs at most 3 % of the time. */
enum { UNITS = 32 };

/* Positions first .. first + count - 1 of an axis, for which the same taps are valid. */
struct piece {
    const struct axis *axis;
    int first, count;
    struct range taps;
    int left, right; /* so many of the first and last lack the first and the last of three taps */
};

/* Rows or columns of an image: the phases of the output (see strip.h), cut into pieces. */
struct cut {
    struct axis *axis;
    struct piece *piece;
    int axes, pieces;
};

/* What the kernel is called with for a piece of rows and one of columns; from the first pixels of a block and its first tap. */
struct call {
    struct depthwise_shape shape;
    ptrdiff_t in, out, weights;
};

struct depthwise {
    int groups, threads;
    size_t weight_block;
    enum conv_tensor in, out;      /* out: dst in the gradient, too */
    ptrdiff_t in_plane, out_plane; /* floats of an image of a block */
    filter_fn *filter;             /* one of these two */
    correlate_fn *correlate;
    int together;      /* images in a call */
    struct call *call; /* of an image of a block, or of those together */
    int calls, chunks; /* chunks: a unit each */
    long units;
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
                cut->piece[cut->pieces++] =
                    (struct piece){.axis = axis, .first = at, .count = 1, .taps = taps};
        }
    }
    qsort(cut->piece, (size_t)cut->pieces, sizeof *cut->piece, piece_order);
    return true;
}

/* Of an only axis with so many taps, what lacks the first or last one at the borders joins the rest. */
static void cut_join(struct cut *cut, int taps)
{
    struct piece *first = cut->piece, *last = first + cut->pieces - 1;
    const bool left = cut->pieces > 1 && first->taps.first == 1 && first->taps.last == taps;
    const bool right = cut->pieces > 1 && last->taps.first == 0 && last->taps.last == taps - 1;
    const struct piece *middle = first + left;
    if (cut->axes > 1 || cut->axis->taps != taps || middle->taps.first != 0 || middle->taps.last != taps ||
        cut->pieces != left + 1 + right)
        return;
    *first = (struct piece){.axis = cut->axis,
                            .first = 0,
                            .count = cut->axis->n,
                            .taps = middle->taps,
                            .left = left ? first->count : 0,
                            .right = right ? last->count : 0};
    cut->pieces = 1;
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

static void cut_free(struct cut *cut)
{
    for (int i = 0; i < cut->axes; i++)
        free(cut->axis[i].tap);
    free(cut->axis);
    free(cut->piece);
}

/* The call for pieces y and x. */
static struct call call_make(const struct piece *y, const struct piece *x, int in_w, int out_w, int kw)
{
    const struct tap first_y = tap_first(y), first_x = tap_first(x), step_y = tap_step(y),
                     step_x = tap_step(x);
    const int out_y = y->axis->out + y->first * y->axis->out_step;
    const int out_x = x->axis->out + x->first * x->axis->out_step;
    return (struct call){.shape = {.lines = y->count,
                                   .depth = x->count,
                                   .rows = y->taps.last - y->taps.first,
                                   .columns = x->taps.last - x->taps.first,
                                   .left = x->left,
                                   .right = x->right,
                                   .in_line = (ptrdiff_t)y->axis->in_step * in_w * B,
                                   .in_k = (ptrdiff_t)x->axis->in_step * B,
                                   .in_row = (ptrdiff_t)step_y.in * in_w * B,
                                   .in_column = (ptrdiff_t)step_x.in * B,
                                   .out_line = (ptrdiff_t)y->axis->out_step * out_w * B,
                                   .out_k = (ptrdiff_t)x->axis->out_step * B,
                                   .tap_row = (ptrdiff_t)step_y.k * kw * B,
                                   .tap_column = (ptrdiff_t)step_x.k * B},
                         .in = ((ptrdiff_t)first_y.in * in_w + first_x.in) * B,
                         .out = ((ptrdiff_t)out_y * out_w + out_x) * B,
                         .weights = ((ptrdiff_t)first_y.k * kw + first_x.k) * B};
}

/* weights: of its block. */
static void take_unit(const struct depthwise *d, long unit, float *const tensor[CONV_TENSORS], float *weights)
{
    const long plane = unit / d->chunks, chunk = unit % d->chunks;
    const ptrdiff_t first = plane / d->groups * d->groups * d->together + plane % d->groups;
    const float *in = tensor[d->in] + first * d->in_plane;
    float *out = tensor[d->out] + first * d->out_plane;
    for (long i = d->calls * chunk / d->chunks; i < d->calls * (chunk + 1) / d->chunks; i++) {
        const struct call *c = &d->call[i];
        if (d->filter)
            d->filter(&c->shape, in + c->in, weights + c->weights, out + c->out);
        else
            d->correlate(&c->shape, in + c->in, out + c->out, weights + c->weights);
    }
}

static void run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    (void)scratch;
    const struct depthwise *d = state;
    struct share share[d->threads];
    share_evenly(share, d->threads, d->units);
#pragma omp parallel num_threads(d->threads)
    {
        const int t = omp_get_thread_num();
        for (long at, end; share_take(share, d->threads, t, &at, &end);)
            for (; at < end; at++)
                take_unit(d, at, tensor, tensor[CONV_WEI] + at / d->chunks % d->groups * d->weight_block);
        phase_mark(PHASE_MULTIPLY);
    }
}

static void run_gradient(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct depthwise *d = state;
    const size_t block = d->weight_block;
    struct share share[d->threads];
    share_evenly(share, d->threads, d->units);
#pragma omp parallel num_threads(d->threads)
    {
        const int t = omp_get_thread_num();
        for (long at, end; share_take(share, d->threads, t, &at, &end);)
            for (; at < end; at++) {
                memset(scratch + at * block, 0, block * sizeof(float));
                take_unit(d, at, tensor, scratch + at * block);
            }
#pragma omp barrier
        phase_mark(PHASE_MULTIPLY);
#pragma omp for
        for (long group = 0; group < d->groups; group++) {
            float *dw = tensor[CONV_WEI] + group * block;
            memset(dw, 0, block * sizeof(float));
            for (long plane = group; plane < d->units / d->chunks; plane += d->groups)
                for (long unit = plane * d->chunks; unit < (plane + 1) * d->chunks; unit++)
#pragma omp simd
                    for (size_t n = 0; n < block; n++)
                        dw[n] += scratch[unit * block + n];
        }
        phase_mark(PHASE_REDUCE);
    }
}

static void destroy(void *state)
{
    struct depthwise *d = state;
    free(d->call);
    free(d);
}

/* An axis on which backward spreads each pixel of dst to three of src, two of its own and one of the pixel before. */
static bool extent_halves(const struct extent *e)
{
    return e->kernel == 3 && e->stride == 2 && e->pad == 1 && e->dilation == 1 && e->in == 2 * e->out &&
           e->out > 1;
}

/* Fills the table of calls. False: no memory. */
static bool calls_make(struct depthwise *d, const struct conv_problem *q, const struct cut *rows,
                       const struct cut *columns)
{
    d->call = malloc(sizeof *d->call * (size_t)rows->pieces * (size_t)columns->pieces);
    if (!d->call)
        return false;
    for (int y = 0; y < rows->pieces; y++)
        for (int x = 0; x < columns->pieces; x++) {
            struct call c = call_make(&rows->piece[y], &columns->piece[x], d->in == CONV_DST ? q->ow : q->iw,
                                      d->out == CONV_DST ? q->ow : q->iw, q->kw);
            c.shape.images = d->together;
            c.shape.ahead = d->together > 1 ? 0 : AHEAD * B;
            c.shape.in_image = d->groups * d->in_plane;
            c.shape.out_image = d->groups * d->out_plane;
            if (d->filter || (c.shape.rows > 0 && c.shape.columns > 0))
                d->call[d->calls++] = c;
        }
    return true;
}

/* Cuts the output into pieces, and makes their calls. False: no memory. */
static bool output_cut(struct depthwise *d, const struct conv_problem *q, enum conv_tensor output,
                       const struct depthwise_kernel *kernel)
{
    struct extent h = {q->ih, q->oh, q->kh, q->sh, q->ph, q->dh + 1};
    struct extent w = {q->iw, q->ow, q->kw, q->sw, q->pw, q->dw + 1};
    const bool spreads = output == CONV_SRC && extent_halves(&h) && extent_halves(&w);
    const int columns_out = d->out == CONV_DST ? q->ow : q->iw;
    if (spreads) {
        d->filter = kernel->spread;
        output = CONV_DST;
        h = (struct extent){q->oh, q->oh, 2, 1, 0, 1};
        w = (struct extent){q->ow, q->ow, 2, 1, 0, 1};
    }
    struct cut rows = {0}, columns = {0};
    bool done = cut_make(&rows, &h, output, 1 + (d->filter ? PIXELS : GRADIENT_PIXELS) / (columns_out + 1)) &&
                cut_make(&columns, &w, output, columns_out);
    if (done) {
        if (q->kh <= 3) /* as the kernel has it for nine taps only */
            cut_join(&columns, spreads ? 2 : 3);
        if (spreads)
            rows.axis->out_step = columns.axis->out_step = 2;
        done = calls_make(d, q, &rows, &columns);
    }
    cut_free(&rows);
    cut_free(&columns);
    return done;
}

static const char *plan(struct conv_plan *plan, const struct native *native, void **state)
{
    struct depthwise *d = calloc(1, sizeof *d);
    if (!d)
        return "out of memory";
    const struct conv_problem *q = &native->problem;
    const struct depthwise_kernel *kernel = depthwise_kernel(plan->isa);
    const bool gradient = plan->output == CONV_WEI;
    const long src = (long)q->ih * q->iw, dst = (long)q->oh * q->ow;
    *d = (struct depthwise){.groups = q->g,
                            .threads = plan->threads,
                            .weight_block = native_weight_block(native),
                            .in = plan->output == CONV_SRC ? CONV_DST : CONV_SRC,
                            .out = plan->output == CONV_SRC ? CONV_SRC : CONV_DST,
                            .in_plane = (plan->output == CONV_SRC ? dst : src) * B,
                            .out_plane = (plan->output == CONV_SRC ? src : dst) * B,
                            .filter = gradient ? NULL : kernel->filter,
                            .correlate = gradient ? kernel->correlate : NULL};
    const long pixels = d->out_plane / B;
    d->together = pixels <= (gradient ? GRADIENT_PIXELS : PIXELS) ? (int)(GRADIENT_PIXELS / pixels) : 1;
    while (q->mb % d->together)
        d->together--;
    if (!output_cut(d, q, plan->output, kernel)) {
        destroy(d);
        return "out of memory";
    }
    const long planes = (long)q->g * q->mb / d->together;
    const long wanted = gradient ? (UNITS * d->threads + planes - 1) / planes : d->calls;
    d->chunks = wanted < d->calls ? (int)wanted : d->calls > 0 ? d->calls : 1;
    d->units = planes * d->chunks;
    plan->scratch_bytes = gradient ? sizeof(float) * d->weight_block * (size_t)d->units : 0;
    snprintf(plan->detail, sizeof plan->detail, "depthwise in %d calls of %d images", d->calls, d->together);
    *state = d;
    return NULL;
}

const struct engine depthwise_engine = {plan, run, destroy};
const struct engine depthwise_gradient_engine = {plan, run_gradient, destroy};
