/* Forward and backward by gathering (see gather.h), the plan: phases, strips, lists of segments.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "gather.h"

#include <stdio.h>
#include <stdlib.h>

enum { B = LAYOUT_BLOCK };

/* A call reduces over at most DEPTH steps: their 18 KB of weights for a panel of 32 channels stay in level 1 while all
 * pixels of a strip go by; against whole reductions of 2304 and 4608 steps this gained a fifth on a shared core, and 64 .. 144
 * differ by less than the noise. PIXELS of a strip, of several images if need be, share what bringing the weights costs;
 * so do 64 .. 1024. */
enum { DEPTH = 144, PIXELS = 512 };

/* Several images in a strip of 1x1 forward have fewer pixels, for each SUMS_CACHE bytes of level 2 cache: the sums of all
 * output channels then stay there from chunk to chunk, and the weights, which come more often, are prefetched. 14x14 and
 * 7x7 gained 2 and 3 % over PIXELS (two Zen 3 cores, in turns, each side with its own tensors); 3x3 lost 1 to 2 %, and
 * transposing would have to be done more often. */
enum { SUMS_PIXELS = 128, SUMS_CACHE = 512 << 10 };

/* Where a register tile is so tall that it reads each weight once for 14 rows, they may come from level 2. Longer reductions
 * write and read the output less often: one thread gained 1 % over 144 steps, mostly at 14x14 and 7x7 (Zen 4). */
enum { TALL_ROWS = 14, TALL_DEPTH = 512 };

/* True if all horizontal taps of a pixel are one piece of memory, in the input and in the weights. */
static bool is_fused(const struct gather *g, const struct gather_phase *f)
{
    for (int t = 1; t < f->x->taps; t++)
        if (f->x->tap[t].in != f->x->tap[0].in + t)
            return false;
    return !g->dot && f->strip.kind != NARROW;
}

static bool same_range(struct range a, struct range b)
{
    return a.first == b.first && a.last == b.last;
}

/* Cuts the columns of a strip that is read in place by their valid taps; others have copies of what is outside. */
static bool make_bands(const struct gather *g, struct gather_phase *f)
{
    f->band = malloc(sizeof *f->band * (size_t)f->x->n);
    if (!f->band)
        return false;
    for (int column = 0; column < f->x->n; column++) {
        const struct range taps =
            f->strip.kind == DIRECT ? axis_valid(f->x, column, g->in.w) : (struct range){0, f->x->taps};
        if (f->bands > 0 && same_range(f->band[f->bands - 1].taps, taps))
            f->band[f->bands - 1].count++;
        else
            f->band[f->bands++] = (struct gather_band){column, 1, taps};
    }
    return true;
}

static bool make_list(const struct gather *g, struct gather_phase *f, struct range taps, struct range columns)
{
    if (is_fused(g, f) && columns.last > 1)
        columns.last = 1;
    struct gather_list *list = &f->list[f->lists];
    *list = (struct gather_list){.taps = taps,
                                 .of_block = (taps.last - taps.first) * (columns.last - columns.first)};
    struct brgemm_segment *segment = malloc(sizeof *segment * ((size_t)f->chunk * list->of_block + 1));
    if (!segment)
        return false;
    list->segment = segment;
    f->lists++;
    for (int block = 0; block < f->chunk; block++)
        for (int ty = taps.first; ty < taps.last; ty++)
            for (int tx = columns.first; tx < columns.last; tx++) {
                ptrdiff_t tap = g->transpose
                                    ? (ptrdiff_t)ty * f->x->taps + tx
                                    : (ptrdiff_t)f->y->tap[ty].k * g->native.problem.kw + f->x->tap[tx].k;
                *segment++ = (struct brgemm_segment){block * f->strip.block +
                                                         strip_tap(&f->strip, f->y, f->x, &g->in, ty, tx),
                                                     block * f->block + tap * g->tap_weights};
            }
    return true;
}

/* Rows of output pixels with the same valid taps share the lists of all bands. */
static bool make_lists(const struct gather *g, struct gather_phase *f)
{
    f->list = malloc(sizeof(struct gather_list) * (size_t)f->y->n * (size_t)f->bands);
    f->list_of_row = malloc(sizeof(int) * (size_t)f->y->n);
    if (!f->list || !f->list_of_row)
        return false;
    for (int row = 0; row < f->y->n; row++) {
        struct range taps = axis_valid(f->y, row, g->in.h);
        if (f->x->taps == 0 || taps.first >= taps.last)
            taps = (struct range){0, 0};
        int l = 0;
        while (l < f->lists && !same_range(f->list[l].taps, taps))
            l += f->bands;
        f->list_of_row[row] = l;
        const bool found = l < f->lists;
        for (int band = 0; !found && band < f->bands; band++)
            if (!make_list(g, f, taps, f->band[band].taps))
                return false;
    }
    return true;
}

static bool make_phase(struct gather *g, struct gather_phase *f, const struct axis *y, const struct axis *x)
{
    const bool gapless = g->spread || (y->out_step == 1 && x->out_step == 1 && x->n == g->out.w);
    const int taps = y->taps * x->taps;
    /* Strided outputs are every other line: where several taps share what they read, cutting the reduction costs up to 8 %.
     * One tap shares nothing: without cuts its weights overflow level 1. */
    const bool whole = g->dot || taps == 0 || (taps > 1 && (y->out_step > 1 || x->out_step > 1));
    const int depth = g->kernel->wide.rows < TALL_ROWS ? DEPTH : TALL_DEPTH;
    const int rows = (y->n + g->strips - 1) / g->strips, wide = 1 + PIXELS / (x->n + 1);
    const int most = whole ? g->in.blocks : depth / (g->in.block * taps);
    const int chunks = most < 1 ? g->in.blocks : (g->in.blocks + most - 1) / most;
    struct activation part = g->in;
    *f = (struct gather_phase){.y = y, .x = x, .chunk = (g->in.blocks + chunks - 1) / chunks};
    /* A short last block is a chunk of its own, whose reduction is short, too. */
    if (g->tail <= B / 2 && g->in.blocks > 1 && g->in.blocks - 1 <= most && !whole)
        f->chunk = g->in.blocks - 1;
    part.blocks = f->chunk;
    f->strip = strip_make(y, x, &part, gapless, g->dot != NULL, rows < wide ? rows : wide);
    const bool fused = is_fused(g, f);
    f->depth = (fused ? x->taps : 1) * g->in.block;
    f->tail = (g->in.blocks - 1) % f->chunk == 0 && (!fused || x->taps == 1) ? g->tail : f->depth;
    f->block = g->transpose ? (ptrdiff_t)taps * B * B : (ptrdiff_t)native_weight_block(&g->native);
    f->panel = f->block * g->in.blocks;
    const int pixels = f->strip.rows * x->n;
    f->calls = g->spread ? (pixels + GATHER_PIECE - 1) / GATHER_PIECE : f->strip.merged ? 1 : f->strip.rows;
    if (g->spread) {
        const bool whole_sums = f->chunk == g->in.blocks;
        g->spread_block = (ptrdiff_t)(whole_sums ? GATHER_PIECE : pixels) * B;
        g->spread_panel = whole_sums ? 0 : g->width * g->spread_block;
        g->spread_floats =
            (size_t)(whole_sums ? g->width * g->spread_block : g->together * g->panels * g->spread_panel);
    }
    if (g->transpose && (size_t)(g->width * f->chunk * f->block) > g->weight_floats)
        g->weight_floats = (size_t)(g->width * f->chunk * f->block);
    if (f->strip.floats > g->copy_floats)
        g->copy_floats = f->strip.floats;
    return make_bands(g, f) && make_lists(g, f);
}

/* Strips of all phases, those of neighbouring rows together. */
static bool make_items(struct gather *g)
{
    for (int f = 0; f < g->phases; f++)
        g->items += (g->phase[f].y->n + g->phase[f].strip.rows - 1) / g->phase[f].strip.rows;
    struct gather_item *item = g->item = malloc(sizeof(struct gather_item) * ((size_t)g->items + 1));
    if (!item)
        return false;
    double cost = 0;
    for (int turn = 0, left = g->items; left > 0; turn++)
        for (int f = 0; f < g->phases; f++) {
            const struct gather_phase *p = &g->phase[f];
            const int y0 = turn * p->strip.rows, rest = p->y->n - y0;
            if (rest <= 0)
                continue;
            *item++ = (struct gather_item){f, y0, cost};
            /* A pixel without taps still has to be written: about one step of 16 channels. */
            cost += (double)(rest < p->strip.rows ? rest : p->strip.rows) * p->x->n *
                    (1 + (double)p->y->taps * p->x->taps * g->in.blocks);
            left--;
        }
    *item = (struct gather_item){0, 0, cost};
    return true;
}

static bool make_phases(struct gather *g)
{
    const struct conv_problem *q = &g->native.problem;
    const struct extent h = {q->ih, q->oh, q->kh, q->sh, q->ph, q->dh + 1};
    const struct extent w = {q->iw, q->ow, q->kw, q->sw, q->pw, q->dw + 1};
    const bool phases = g->output == CONV_SRC && !g->spread;
    const int ys = !phases ? 1 : q->sh < q->ih ? q->sh : q->ih;
    const int xs = !phases ? 1 : q->sw < q->iw ? q->sw : q->iw;
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
        free(g->phase[i].band);
        free(g->phase[i].list);
        free(g->phase[i].list_of_row);
    }
    free(g->y);
    free(g->x);
    free(g->phase);
    free(g->item);
    free(g);
}

/* 1x1 with a stride, and every pixel of dst meets one of src. */
static bool is_spread(const struct conv_problem *q)
{
    return q->kh == 1 && q->kw == 1 && (q->sh > 1 || q->sw > 1) && q->ph == 0 && q->pw == 0 &&
           q->oh == (q->ih + q->sh - 1) / q->sh && q->ow == (q->iw + q->sw - 1) / q->sw;
}

/* How much a unit of work is: panels of how many output blocks, strips of how many images and rows. Little work is cut
 * smaller, so that every thread has some: by images where these can be shared evenly, which copies as much as before,
 * otherwise into narrower panels, and then into more strips. */
static void cut_work(struct gather *g, struct brgemm_tile tile)
{
    const struct conv_problem *q = &g->native.problem;
    const bool backward = g->output == CONV_SRC;
    /* Of a phase, which backward has sh * sw of. */
    const int sh = backward ? q->sh : 1, sw = backward ? q->sw : 1;
    const long pixels = (long)((g->out.h + sh - 1) / sh) * ((g->out.w + sw - 1) / sw);
    const long sums = (long)(cache_bytes() * SUMS_PIXELS / SUMS_CACHE);
    const long most = g->transpose || q->kh * q->kw > 1 || sums > PIXELS ? PIXELS : sums;
    g->together = pixels < most ? (int)(most / pixels) : 1;
    g->together = g->together < q->mb ? g->together : q->mb;
    g->width = g->dot ? 1 : tile.vectors * g->kernel->vlen / B;
    if (g->together == q->mb && q->mb % g->threads)
        while (g->width > 1 && (long)q->g * ((g->out.blocks + g->width - 1) / g->width) < g->threads)
            g->width--;
    g->panels = (g->out.blocks + g->width - 1) / g->width;
    const long panels = (long)q->g * g->panels, shares = (g->threads + panels - 1) / panels;
    const long images = q->mb / shares;
    if (g->together > images)
        g->together = images > 0 ? (int)images : 1;
    g->strips = (int)((shares + q->mb - 1) / q->mb);
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
    if (backward && native->block < B)
        g->dot = dot_kernel(plan->isa);
    if (backward && !g->dot)
        g->transpose = transpose_kernel(plan->isa);
    if (g->transpose && is_spread(q))
        g->spread = spread_kernel(plan->isa);
    g->stream = native_bytes(native, g->output) > cache_bytes() * (size_t)g->threads;
    g->tap_weights = native->block * B;
    const struct brgemm_tile tile = g->kernel->wide;
    cut_work(g, tile);
    const int outs = (backward ? q->ic : q->oc) / q->g % B, ins = (backward ? q->oc : q->ic) / q->g % B;
    g->half = !g->dot && !g->spread && g->kernel->vlen == B / 2 && outs > 0 && outs <= B / 2;
    g->tail = ins > 0 && g->in.block == B ? ins : g->in.block;
    if (!make_phases(g)) {
        destroy(g);
        return "out of memory";
    }
    g->scratch_floats = (g->weight_floats + g->together * g->copy_floats + g->spread_floats + B - 1) / B * B;
    plan->scratch_bytes = g->threads * g->scratch_floats * sizeof(float);
    static const char *const kinds[] = {"direct", "wide", "narrow"};
    snprintf(plan->detail, sizeof plan->detail, "%s %dx%d %s strips of %d rows", g->dot ? "dot" : "brgemm",
             tile.rows, tile.vectors, kinds[g->phase[0].strip.kind], g->phase[0].strip.rows);
    *state = g;
    return NULL;
}

const struct engine gather_engine = {plan, gather_run, destroy};
