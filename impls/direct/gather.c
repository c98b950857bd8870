/* Forward and backward by gathering (see strip.h): for each strip of output rows and each panel of output channels
 * one call of the register kernel a run of rows, one segment per (input channel block, tap). Backward reads dst
 * with the weights transposed, which is done anew in every run, once, before the work is shared out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"

#include "kernels/lanes.h"
#include "kernels/transpose.h"
#include "phase.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { B = LAYOUT_BLOCK };

/* A call reduces over at most DEPTH steps: their 9 KB of weights stay in level 1 (a quarter of 32 KB) while all
 * pixels of a strip go by; against whole reductions of 2304 and 4608 steps this gained a fifth on a shared core.
 * PIXELS of a strip, of several images if need be, share what bringing the weights costs; 256 .. 1024 differ by less
 * than the noise. */
enum { DEPTH = 144, PIXELS = 512 };

/* The segments of the output rows for which the vertical taps `taps` are valid. */
struct list {
    struct range taps;
    int of_block; /* segments of one input block; they stand block by block */
    struct brgemm_segment *segment;
};

struct phase {
    const struct axis *y, *x;
    struct strip strip;
    int chunk; /* input blocks in a call */
    int depth, *list_of_row;
    struct list *list; /* as many as there are different ranges of taps */
    int lists;
    ptrdiff_t weights, panel, block; /* where its weights begin; from an output, an input block to the next */
};

/* A strip of an image. cost: of all items before it. */
struct item {
    int phase, y0;
    double cost;
};

struct gather {
    struct native native;
    const struct brgemm_kernel *kernel;
    lanes_fn *lanes; /* instead of the kernel, for few output channels and depthwise */
    enum conv_tensor input, output;
    struct activation in, out;
    int threads;
    int images, together; /* of one group; how many of them share a strip's turn */
    int panels, width;    /* width: output blocks in a panel */
    bool transposed;      /* the weights */
    bool stream;
    struct axis *y, *x;
    int ys, xs, phases, items;
    struct phase *phase;
    struct item *item;     /* items + 1: the last one holds the sum */
    size_t copy_floats;    /* of the largest chunk of a strip */
    size_t group_weights;  /* floats, transposed or not */
    size_t packed_floats;  /* of all groups */
    ptrdiff_t tap_weights; /* floats of one tap of a block */
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
                    float *to = packed + group * g->group_weights + f->weights + ob * f->panel +
                                (ptrdiff_t)ib * f->y->taps * f->x->taps * B * B;
                    for (int ty = 0; ty < f->y->taps; ty++)
                        for (int tx = 0; tx < f->x->taps; tx++, to += B * B)
                            transpose_block(from + (f->y->tap[ty].k * q->kw + f->x->tap[tx].k) * B * B, to);
                }
}

/* A piece of work: panels of the output, from one chunk of the input's blocks, for a strip of some images. */
struct turn {
    const struct item *item;
    int image, images, group, panel, panels, block, blocks;
};

/* One panel, one image: the input chunk at a, the weights at b, the output image at c. */
static void compute(const struct gather *g, const struct turn *turn, int panel, const float *a,
                    const float *b, float *c)
{
    const struct phase *f = &g->phase[turn->item->phase];
    const struct activation *out = &g->out;
    const int vlen = g->kernel->vlen, y0 = turn->item->y0;
    const int blocks = out->blocks - panel * g->width < g->width ? out->blocks - panel * g->width : g->width;
    const int last = y0 + f->strip.rows < f->y->n ? y0 + f->strip.rows : f->y->n;
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
                             .accumulate = turn->block > 0,
                             .stream = (g->stream || f->x->out_step > 1) && turn->blocks == g->in.blocks};
    for (int y = y0, next; y < last; y = next) {
        const struct list *list = &f->list[f->list_of_row[y]];
        for (next = y + 1; f->strip.merged && next < last && f->list_of_row[next] == f->list_of_row[y];)
            next++;
        s.rows = (next - y) * f->x->n;
        const float *from = a + (y - y0) * f->strip.row;
        float *to = c + ((ptrdiff_t)(f->y->out + y * f->y->out_step) * out->w + f->x->out) * out->block;
        const int segments = turn->blocks * list->of_block;
        if (g->lanes)
            g->lanes(&(struct lanes_shape){s.rows, out->block, s.a_row, s.c_row}, segments, list->segment,
                     from, b, to);
        else
            g->kernel->run(&s, segments, list->segment, from, b, to);
    }
}

static ptrdiff_t floats(const struct activation *a)
{
    return (ptrdiff_t)a->blocks * a->h * a->w * a->block;
}

/* All panels of a chunk: the copied strips and the weights of a panel stay in the caches meanwhile. */
static void take_turn(const struct gather *g, const struct turn *turn, const float *in, const float *weights,
                      float *out, float *copies)
{
    const struct phase *f = &g->phase[turn->item->phase];
    struct activation part = g->in;
    part.blocks = turn->blocks;
    const int groups = g->native.problem.g;
    const float *first = in + ((ptrdiff_t)turn->image * groups + turn->group) * floats(&g->in) +
                         (ptrdiff_t)turn->block * part.h * part.w * part.block;
    const float *a = first;
    for (int i = 0; i < turn->images; i++) {
        const float *opened = strip_open(&f->strip, f->y, f->x, &part, first + i * groups * floats(&g->in),
                                         turn->item->y0, copies + i * g->copy_floats);
        if (i == 0)
            a = opened;
    }
    phase_mark(PHASE_INPUT);
    const ptrdiff_t a_image = f->strip.kind == DIRECT ? groups * floats(&g->in) : (ptrdiff_t)g->copy_floats;
    const float *b = weights + turn->group * g->group_weights + f->weights + turn->block * f->block;
    for (int panel = turn->panel; panel < turn->panel + turn->panels; panel++)
        for (int i = 0; i < turn->images; i++)
            compute(g, turn, panel, a + i * a_image, b + panel * g->width * f->panel,
                    out + ((ptrdiff_t)(turn->image + i) * groups + turn->group) * floats(&g->out) +
                        (ptrdiff_t)panel * g->width * g->out.h * g->out.w * g->out.block);
    phase_mark(PHASE_MULTIPLY);
}

/* Units of work are (images, group, item, panel). The number of the first unit of thread `t`, so that threads share
 * the cost evenly. */
static long first_unit(const struct gather *g, int t, int threads)
{
    const long outer = (long)((g->images + g->together - 1) / g->together) * g->native.problem.g;
    if (t == threads)
        return outer * g->items * g->panels;
    const double strips = g->item[g->items].cost;
    double rest = strips * (double)outer * t / threads;
    const long at = (long)(rest / strips);
    rest -= (double)at * strips;
    int item = 0;
    while (item + 1 < g->items && g->item[item + 1].cost <= rest)
        item++;
    const double cost = g->item[item + 1].cost - g->item[item].cost;
    const int panel = (int)((rest - g->item[item].cost) / cost * g->panels);
    return (at * g->items + item) * g->panels + (panel < g->panels ? panel : g->panels - 1);
}

static void run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct gather *g = state;
    const float *weights = g->transposed ? scratch : tensor[CONV_WEI];
#pragma omp parallel num_threads(g->threads)
    {
        const int t = omp_get_thread_num(), threads = omp_get_num_threads();
        float *copies = scratch + g->packed_floats + (size_t)t * g->together * g->copy_floats;
        if (g->transposed) {
            transpose_weights(g, tensor[CONV_WEI], scratch);
            phase_mark(PHASE_WEIGHTS);
        }
        const long end = first_unit(g, t + 1, threads);
        for (long n = first_unit(g, t, threads), next; n < end; n = next) {
            const long outer = n / g->panels / g->items;
            struct turn turn = {.item = &g->item[n / g->panels % g->items],
                                .image = (int)(outer / g->native.problem.g) * g->together,
                                .group = (int)(outer % g->native.problem.g),
                                .panel = (int)(n % g->panels)};
            turn.images = g->images - turn.image < g->together ? g->images - turn.image : g->together;
            turn.panels = g->panels - turn.panel < end - n ? g->panels - turn.panel : (int)(end - n);
            for (; turn.block < g->in.blocks; turn.block += turn.blocks) {
                const int chunk = g->phase[turn.item->phase].chunk;
                turn.blocks = g->in.blocks - turn.block < chunk ? g->in.blocks - turn.block : chunk;
                take_turn(g, &turn, tensor[g->input], weights, tensor[g->output], copies);
            }
            next = n + turn.panels;
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
    const int columns = is_fused(g, f) && f->x->taps ? 1 : f->x->taps;
    struct list *list = &f->list[f->lists];
    *list = (struct list){.taps = taps, .of_block = (taps.last - taps.first) * columns};
    struct brgemm_segment *segment = malloc(sizeof *segment * ((size_t)f->chunk * list->of_block + 1));
    if (!segment)
        return false;
    list->segment = segment;
    f->lists++;
    for (int block = 0; block < f->chunk; block++)
        for (int ty = taps.first; ty < taps.last; ty++)
            for (int tx = 0; tx < columns; tx++) {
                ptrdiff_t tap = g->transposed
                                    ? (ptrdiff_t)ty * f->x->taps + tx
                                    : (ptrdiff_t)f->y->tap[ty].k * g->native.problem.kw + f->x->tap[tx].k;
                *segment++ = (struct brgemm_segment){block * f->strip.block +
                                                         strip_tap(&f->strip, f->y, f->x, &g->in, ty, tx),
                                                     block * f->block + tap * g->tap_weights};
            }
    return true;
}

/* Rows of output pixels with the same valid taps share a list of segments. */
static bool make_lists(const struct gather *g, struct phase *f)
{
    f->list = malloc(sizeof(struct list) * (size_t)f->y->n);
    f->list_of_row = malloc(sizeof(int) * (size_t)f->y->n);
    if (!f->list || !f->list_of_row)
        return false;
    for (int row = 0; row < f->y->n; row++) {
        struct range taps = axis_valid(f->y, row, g->in.h);
        if (f->x->taps == 0 || taps.first >= taps.last)
            taps = (struct range){0, 0};
        int l = 0;
        while (l < f->lists && (f->list[l].taps.first != taps.first || f->list[l].taps.last != taps.last))
            l++;
        if (l == f->lists && !make_list(g, f, taps))
            return false;
        f->list_of_row[row] = l;
    }
    return true;
}

static bool make_phase(struct gather *g, struct phase *f, const struct axis *y, const struct axis *x)
{
    const bool gapless = y->out_step == 1 && x->out_step == 1 && x->n == g->out.w;
    const int taps = y->taps * x->taps;
    const bool whole = g->lanes || taps == 0 || y->out_step > 1 || x->out_step > 1;
    const int most = whole ? g->in.blocks : DEPTH / (g->in.block * taps);
    const int chunks = most < 1 ? g->in.blocks : (g->in.blocks + most - 1) / most;
    struct activation part = g->in;
    *f = (struct phase){.y = y, .x = x, .chunk = (g->in.blocks + chunks - 1) / chunks};
    part.blocks = f->chunk;
    f->strip = strip_make(y, x, &part, gapless, 1 + PIXELS / (x->n + 1));
    f->depth = (is_fused(g, f) ? x->taps : 1) * g->in.block;
    if (g->transposed) {
        f->weights = (ptrdiff_t)g->group_weights;
        f->block = (ptrdiff_t)y->taps * x->taps * B * B;
        f->panel = f->block * g->in.blocks;
        g->group_weights += (size_t)f->panel * g->out.blocks;
    } else {
        f->block = (ptrdiff_t)native_weight_block(&g->native);
        f->panel = f->block * g->in.blocks;
        g->group_weights = (size_t)f->panel * (g->lanes ? 1 : g->out.blocks);
    }
    if (f->strip.floats > g->copy_floats)
        g->copy_floats = f->strip.floats;
    return make_lists(g, f);
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
    for (int turn = 0, left = g->items; left > 0; turn++)
        for (int f = 0; f < g->phases; f++) {
            const struct phase *p = &g->phase[f];
            const int y0 = turn * p->strip.rows, rest = p->y->n - y0;
            if (rest <= 0)
                continue;
            *item++ = (struct item){f, y0, cost};
            /* A pixel without taps still has to be written: about one step of 16 channels. */
            cost += (double)(rest < p->strip.rows ? rest : p->strip.rows) * p->x->n *
                    (1 + (double)p->y->taps * p->x->taps * g->in.blocks);
            left--;
        }
    *item = (struct item){0, 0, cost};
    return true;
}

static bool make_phases(struct gather *g)
{
    const struct conv_problem *q = &g->native.problem;
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
    for (; g->phases < ys * xs; g->phases++)
        if (!make_phase(g, &g->phase[g->phases], &g->y[g->phases / xs], &g->x[g->phases % xs])) {
            g->phases++; /* so that destroy frees it */
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

static const char *plan(struct conv_plan *plan, const struct native *native, void **state)
{
    struct gather *g = calloc(1, sizeof *g);
    if (!g)
        return "out of memory";
    const struct conv_problem *q = &native->problem;
    const bool backward = plan->output == CONV_SRC;
    g->native = *native;
    g->kernel = brgemm_kernel(plan->isa);
    g->output = plan->output;
    g->threads = plan->threads;
    g->images = q->mb;
    g->input = backward ? CONV_DST : CONV_SRC;
    g->in = backward ? native->dst : native->src;
    g->out = backward ? native->src : native->dst;
    if (native->depthwise)
        g->lanes = lanes_kernel(plan->isa)->scale;
    else if (backward && native->block < B)
        g->lanes = lanes_kernel(plan->isa)->dot;
    g->transposed = backward && !g->lanes;
    g->tap_weights = native->depthwise ? B : native->block * B;
    g->width = g->lanes ? 1 : g->kernel->vectors * g->kernel->vlen / B;
    g->panels = (g->out.blocks + g->width - 1) / g->width;
    const long out_pixels = (long)g->out.h * g->out.w;
    g->together = out_pixels < PIXELS ? (int)(PIXELS / out_pixels) : 1;
    g->together = g->together < q->mb ? g->together : q->mb;
    /* Outputs beyond the share of the last-level cache that a core may count on go straight to memory. */
    g->stream = native_bytes(native, g->output) > (16 << 20);
    if (!make_phases(g)) {
        destroy(g);
        return "out of memory";
    }
    g->packed_floats = g->transposed ? g->group_weights * (size_t)q->g : 0;
    plan->scratch_bytes =
        (g->packed_floats + (size_t)g->threads * g->together * g->copy_floats) * sizeof(float);
    static const char *const kinds[] = {"direct", "wide", "narrow"};
    snprintf(plan->detail, sizeof plan->detail, "%s %dx%d %s strips of %d rows",
             native->depthwise ? "depthwise"
             : g->lanes        ? "dot"
                               : "brgemm",
             g->kernel->rows, g->kernel->vectors, kinds[g->phase[0].strip.kind], g->phase[0].strip.rows);
    *state = g;
    return NULL;
}

const struct engine gather_engine = {plan, run, destroy};
