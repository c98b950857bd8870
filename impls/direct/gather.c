/* Forward and backward by gathering (see strip.h): for each strip of output rows and each panel of output channels
 * one call of the register kernel a run of rows, one segment per (input channel block, tap). Backward reads dst
 * with the weights transposed, which is done anew in every run, once, before the work is shared out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"

#include "kernels/lanes.h"
#include "kernels/transpose.h"

#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { B = LAYOUT_BLOCK };

/* The segments of the output rows for which the vertical taps `taps` are valid. */
struct list {
    struct range taps;
    int segments;
    struct brgemm_segment *segment;
};

struct phase {
    const struct axis *y, *x;
    struct strip strip;
    int depth, *list_of_row;
    struct list *list; /* as many as there are different ranges of taps */
    int lists;
    ptrdiff_t weights, panel; /* where its weights begin, and from one output block to the next */
};

/* A strip of an image. cost, copy: of all items before it. */
struct item {
    int phase, y0;
    double cost;
    size_t copy;
};

struct gather {
    struct native native;
    const struct brgemm_kernel *kernel;
    lanes_fn *lanes; /* instead of the kernel, for few output channels and depthwise */
    enum conv_tensor input, output;
    struct activation in, out;
    int threads, images, panels, width; /* width: output blocks in a panel */
    bool transposed;                    /* the weights */
    bool shared;                        /* all strips are copied first, and the work goes panel by panel */
    bool stream;
    struct axis *y, *x;
    int ys, xs, phases, items;
    struct phase *phase;
    struct item *item;    /* items + 1: the last one holds the sums */
    size_t copy_floats;   /* of the largest strip */
    size_t packed_floats; /* transposed weights of a group */
};

/* ---- run ---- */

static void transpose_weights(const struct gather *g, const float *weights, float *packed)
{
    const struct conv_problem *q = &g->native.problem;
    const ptrdiff_t taps = (ptrdiff_t)q->kh * q->kw;
#pragma omp for collapse(3)
    for (int group = 0; group < q->g; group++)
        for (int ob = 0; ob < g->out.blocks; ob++)
            for (int ib = 0; ib < g->in.blocks; ib++)
                for (const struct phase *f = g->phase; f < g->phase + g->phases; f++) {
                    const float *from =
                        weights +
                        (((ptrdiff_t)group * g->in.blocks + ib) * g->out.blocks + ob) * taps * B * B;
                    float *to = packed + group * g->packed_floats + f->weights + ob * f->panel +
                                (ptrdiff_t)ib * f->y->taps * f->x->taps * B * B;
                    for (int ty = 0; ty < f->y->taps; ty++)
                        for (int tx = 0; tx < f->x->taps; tx++, to += B * B)
                            transpose_block(from + (f->y->tap[ty].k * q->kw + f->x->tap[tx].k) * B * B, to);
                }
}

/* One strip, one panel of output channels. */
static void compute(const struct gather *g, const struct item *item, int panel, const float *a,
                    const float *b, float *c)
{
    const struct phase *f = &g->phase[item->phase];
    const struct activation *out = &g->out;
    const int vlen = g->kernel->vlen, first = panel * g->width;
    const int blocks = out->blocks - first < g->width ? out->blocks - first : g->width;
    const int last = item->y0 + f->strip.rows < f->y->n ? item->y0 + f->strip.rows : f->y->n;
    const ptrdiff_t plane = (ptrdiff_t)out->h * out->w * out->block;
    /* With 16 lanes a vector is a block; with fewer a panel is one block. */
    struct brgemm_shape s = {.vectors = blocks * B / vlen,
                             .depth = f->depth,
                             .a_row = f->strip.pixel,
                             .a_k = 1,
                             .b_k = B,
                             .b_vec = vlen == B ? f->panel : vlen,
                             .c_row = (ptrdiff_t)f->x->out_step * out->block,
                             .c_vec = vlen == B ? plane : vlen,
                             .stream = g->stream};
    b += f->weights + first * f->panel;
    c += first * plane;
    for (int y = item->y0, next; y < last; y = next) {
        const struct list *list = &f->list[f->list_of_row[y]];
        for (next = y + 1; f->strip.merged && next < last && f->list_of_row[next] == f->list_of_row[y];)
            next++;
        s.rows = (next - y) * f->x->n;
        const float *from = a + (y - item->y0) * f->strip.row;
        float *to = c + ((ptrdiff_t)(f->y->out + y * f->y->out_step) * out->w + f->x->out) * out->block;
        if (g->lanes)
            g->lanes(&(struct lanes_shape){s.rows, out->block, s.a_row, s.c_row}, list->segments,
                     list->segment, from, b, to);
        else
            g->kernel->run(&s, list->segments, list->segment, from, b, to);
    }
}

/* Units of work are (image, item, panel), or (panel, image, item) where the strips are shared. */
struct unit {
    int image, item, panel;
};

/* The number of the first unit of thread `t`: they share the cost evenly. */
static long first_unit(const struct gather *g, int t, int threads)
{
    const double strips = g->item[g->items].cost, total = strips * g->images * g->panels;
    if (t == threads)
        return (long)g->images * g->items * g->panels;
    double rest = total * t / threads;
    const double outer = g->shared ? strips * g->images : strips * g->panels;
    const long at = (long)(rest / outer);
    rest -= (double)at * outer;
    const long image = g->shared ? (long)(rest / strips) : at;
    rest = g->shared ? rest - (double)image * strips : rest / g->panels;
    int item = 0;
    while (item + 1 < g->items && g->item[item + 1].cost <= rest)
        item++;
    if (g->shared)
        return (at * g->images + image) * g->items + item;
    const double cost = g->item[item + 1].cost - g->item[item].cost;
    const long panel = (long)((rest - g->item[item].cost) / cost * g->panels);
    return (image * g->items + item) * g->panels + (panel < g->panels ? panel : g->panels - 1);
}

static struct unit unit_at(const struct gather *g, long n)
{
    if (!g->shared)
        return (struct unit){(int)(n / g->panels / g->items), (int)(n / g->panels % g->items),
                             (int)(n % g->panels)};
    return (struct unit){(int)(n / g->items % g->images), (int)(n % g->items),
                         (int)(n / g->items / g->images)};
}

static const float *open_strip(const struct gather *g, const float *in, struct unit u, float *copy)
{
    const struct item *item = &g->item[u.item];
    const struct phase *f = &g->phase[item->phase];
    const ptrdiff_t image = (ptrdiff_t)g->in.blocks * g->in.h * g->in.w * g->in.block;
    return strip_open(&f->strip, f->y, f->x, &g->in, in + u.image * image, item->y0, copy);
}

static void run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct gather *g = state;
    const float *weights = tensor[CONV_WEI], *in = tensor[g->input];
    float *out = tensor[g->output], *packed = scratch;
    float *copies = scratch + (g->transposed ? g->packed_floats * g->native.problem.g : 0);
    const size_t group_weights =
        g->transposed ? g->packed_floats
                      : g->native.dst.blocks * g->native.src.blocks * native_weight_block(&g->native);
    const ptrdiff_t out_image = (ptrdiff_t)g->out.blocks * g->out.h * g->out.w * g->out.block;
    const size_t image_copies = g->item[g->items].copy;
#pragma omp parallel num_threads(g->threads)
    {
        const int t = omp_get_thread_num(), threads = omp_get_num_threads();
        if (g->transposed)
            transpose_weights(g, weights, packed);
        if (g->shared) {
#pragma omp for collapse(2)
            for (int image = 0; image < g->images; image++)
                for (int i = 0; i < g->items; i++)
                    open_strip(g, in, (struct unit){image, i, 0},
                               copies + image * image_copies + g->item[i].copy);
        }
        struct unit open = {-1, -1, -1};
        const float *a = NULL;
        for (long n = first_unit(g, t, threads), end = first_unit(g, t + 1, threads); n < end; n++) {
            struct unit u = unit_at(g, n);
            const struct item *item = &g->item[u.item];
            if (g->shared && g->phase[item->phase].strip.kind != DIRECT)
                a = copies + u.image * image_copies + item->copy;
            else if (u.image != open.image || u.item != open.item)
                a = open_strip(g, in, u, copies + t * g->copy_floats);
            open = u;
            compute(g, item, u.panel, a,
                    (g->transposed ? packed : weights) + u.image % g->native.problem.g * group_weights,
                    out + u.image * out_image);
        }
        g->kernel->fence();
    }
}

/* ---- plan ---- */

/* True if all horizontal taps of a pixel are one piece of memory, in the input and in the weights. */
static bool is_fused(const struct gather *g, const struct phase *f)
{
    for (int t = 1; t < f->x->taps; t++)
        if (f->x->tap[t].in != f->x->tap[0].in + t)
            return false;
    return !g->lanes && f->strip.kind != NARROW;
}

static bool make_list(const struct gather *g, struct phase *f, struct range taps)
{
    const struct conv_problem *q = &g->native.problem;
    const int columns = is_fused(g, f) && f->x->taps ? 1 : f->x->taps;
    struct list *list = &f->list[f->lists];
    *list = (struct list){.taps = taps,
                          .segment = malloc(sizeof(struct brgemm_segment) *
                                            ((size_t)g->in.blocks * (taps.last - taps.first) * columns + 1))};
    if (!list->segment)
        return false;
    f->lists++;
    for (int block = 0; block < g->in.blocks; block++)
        for (int ty = taps.first; ty < taps.last; ty++)
            for (int tx = 0; tx < columns; tx++) {
                ptrdiff_t tap = g->transposed ? (ptrdiff_t)ty * f->x->taps + tx
                                              : (ptrdiff_t)f->y->tap[ty].k * q->kw + f->x->tap[tx].k;
                ptrdiff_t taps_of_block =
                    g->transposed ? (ptrdiff_t)f->y->taps * f->x->taps : (ptrdiff_t)q->kh * q->kw;
                list->segment[list->segments++] = (struct brgemm_segment){
                    block * f->strip.block + strip_tap(&f->strip, f->y, f->x, &g->in, ty, tx),
                    (block * taps_of_block + tap) * (g->native.depthwise ? B : g->native.block * B)};
            }
    return true;
}

static bool make_phase(struct gather *g, struct phase *f, const struct axis *y, const struct axis *x)
{
    const bool gapless = y->out_step == 1 && x->out_step == 1 && x->n == g->out.w;
    const size_t row_bytes = sizeof(float) * g->in.blocks * g->in.block * g->in.w * y->in_step;
    const int rows = g->shared ? y->n : (int)(1 + cache_bytes() / 4 / row_bytes);
    *f = (struct phase){.y = y, .x = x, .lists = 0};
    f->strip = strip_make(y, x, &g->in, gapless, rows, g->shared ? SIZE_MAX : cache_bytes() / 2);
    const int width = is_fused(g, f) ? x->taps : 1;
    f->depth = width * g->in.block;
    f->weights = (ptrdiff_t)g->packed_floats;
    f->panel = g->transposed ? (ptrdiff_t)g->in.blocks * y->taps * x->taps * B * B
                             : (ptrdiff_t)(g->in.blocks * native_weight_block(&g->native));
    if (g->transposed)
        g->packed_floats += (size_t)f->panel * g->out.blocks;
    else
        f->weights = 0;
    f->list = malloc(sizeof(struct list) * (size_t)y->n);
    f->list_of_row = malloc(sizeof(int) * (size_t)y->n);
    if (!f->list || !f->list_of_row)
        return false;
    for (int row = 0; row < y->n; row++) {
        struct range taps = axis_valid(y, row, g->in.h);
        if (x->taps == 0 || taps.first >= taps.last)
            taps = (struct range){0, 0};
        int l = 0;
        while (l < f->lists && (f->list[l].taps.first != taps.first || f->list[l].taps.last != taps.last))
            l++;
        if (l == f->lists && !make_list(g, f, taps))
            return false;
        f->list_of_row[row] = l;
    }
    if (f->strip.floats > g->copy_floats)
        g->copy_floats = f->strip.floats;
    return true;
}

/* Strips of all phases, those of neighbouring rows together. */
static bool make_items(struct gather *g)
{
    for (int f = 0; f < g->phases; f++)
        g->items += (g->phase[f].y->n + g->phase[f].strip.rows - 1) / g->phase[f].strip.rows;
    struct item *item = g->item = malloc(sizeof(struct item) * ((size_t)g->items + 1));
    if (!item)
        return false;
    double cost = 0;
    size_t copy = 0;
    int *next = calloc((size_t)g->phases, sizeof(int));
    if (!next)
        return false;
    for (int left = g->items; left > 0;)
        for (int f = 0; f < g->phases; f++) {
            const struct phase *p = &g->phase[f];
            if (next[f] >= p->y->n)
                continue;
            *item++ = (struct item){f, next[f], cost, copy};
            int rows = p->y->n - next[f] < p->strip.rows ? p->y->n - next[f] : p->strip.rows;
            /* A pixel without taps still has to be written: about one step of 16 channels. */
            cost += (double)rows * p->x->n * (1.0 + (double)p->y->taps * p->x->taps * g->in.blocks);
            copy += p->strip.floats;
            next[f] += p->strip.rows;
            left--;
        }
    *item = (struct item){0, 0, cost, copy};
    free(next);
    return true;
}

static bool make_axes(struct gather *g, const struct conv_problem *q)
{
    const struct extent h = {q->ih, q->oh, q->kh, q->sh, q->ph, q->dh + 1};
    const struct extent w = {q->iw, q->ow, q->kw, q->sw, q->pw, q->dw + 1};
    const bool backward = g->output == CONV_SRC;
    const int ys = !backward ? 1 : q->sh < q->ih ? q->sh : q->ih;
    const int xs = !backward ? 1 : q->sw < q->iw ? q->sw : q->iw;
    g->y = calloc((size_t)ys, sizeof *g->y);
    g->x = calloc((size_t)xs, sizeof *g->x);
    g->phase = calloc((size_t)ys * xs, sizeof *g->phase);
    if (!g->y || !g->x || !g->phase)
        return false;
    for (; g->ys < ys; g->ys++)
        if (!axis_make(&g->y[g->ys], &h, g->output, g->ys))
            return false;
    for (; g->xs < xs; g->xs++)
        if (!axis_make(&g->x[g->xs], &w, g->output, g->xs))
            return false;
    for (int y = 0; y < ys; y++)
        for (int x = 0; x < xs; x++, g->phases++)
            if (!make_phase(g, &g->phase[g->phases], &g->y[y], &g->x[x])) {
                g->phases++;
                return false;
            }
    return make_items(g);
}

static void destroy(void *state)
{
    struct gather *g = state;
    for (int i = 0; i < g->ys; i++)
        free(g->y[i].tap);
    for (int i = 0; i < g->xs; i++)
        free(g->x[i].tap);
    for (int i = 0; i < g->phases; i++) {
        for (int l = 0; l < g->phase[i].lists; l++)
            free(g->phase[i].list[l].segment);
        free(g->phase[i].list);
        free(g->phase[i].list_of_row);
    }
    free(g->y);
    free(g->x);
    free(g->phase);
    free(g->item);
    free(g);
}

/* Whether to go panel by panel over all strips (each panel of weights is read once, the strips again and again) or
 * strip by strip over all panels: whichever moves fewer bytes into the level-2 caches. */
static bool is_shared(const struct gather *g)
{
    const struct native *n = &g->native;
    const double half = (double)cache_bytes() / 2, weights = (double)native_bytes(n, CONV_WEI);
    const double image = (double)native_bytes(n, g->input) / g->images;
    const double strips = g->images * (1 + image / half);
    return n->problem.g == 1 && weights > half && g->panels * g->images * image < strips * weights;
}

static const char *plan(struct conv_plan *plan, const struct native *native, void **state)
{
    struct gather *g = calloc(1, sizeof *g);
    if (!g)
        return "out of memory";
    g->native = *native;
    g->kernel = brgemm_kernel(plan->isa);
    g->output = plan->output;
    g->threads = plan->threads;
    g->images = native->problem.mb * native->problem.g;
    const bool backward = plan->output == CONV_SRC;
    g->input = backward ? CONV_DST : CONV_SRC;
    g->in = backward ? native->dst : native->src;
    g->out = backward ? native->src : native->dst;
    if (native->depthwise)
        g->lanes = lanes_kernel(plan->isa)->scale;
    else if (backward && native->block < B)
        g->lanes = lanes_kernel(plan->isa)->dot;
    g->transposed = backward && !g->lanes;
    g->width = g->lanes ? 1 : g->kernel->vectors * g->kernel->vlen / B;
    g->panels = (g->out.blocks + g->width - 1) / g->width;
    g->shared = is_shared(g);
    /* Outputs beyond the share of the last-level cache that a core may count on go straight to memory. */
    g->stream = native_bytes(native, g->output) > (8 << 20);
    if (!make_axes(g, &native->problem)) {
        destroy(g);
        return "out of memory";
    }
    const size_t packed = g->packed_floats * (size_t)native->problem.g;
    const size_t copies =
        g->shared ? g->item[g->items].copy * (size_t)g->images : g->copy_floats * (size_t)g->threads;
    plan->scratch_bytes = (packed + copies) * sizeof(float);
    static const char *const kinds[] = {"direct", "wide", "narrow"};
    snprintf(plan->detail, sizeof plan->detail, "%s %dx%d %s strips of %d rows, by %s",
             native->depthwise ? "depthwise"
             : g->lanes        ? "dot"
                               : "brgemm",
             g->kernel->rows, g->kernel->vectors, kinds[g->phase[0].strip.kind], g->phase[0].strip.rows,
             g->shared ? "channels" : "pixels");
    *state = g;
    return NULL;
}

const struct engine gather_engine = {plan, run, destroy};
