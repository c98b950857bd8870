/* Forward and backward by gathering (see gather.h), the run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "gather.h"

#include "phase.h"
#include "share.h"

#include <omp.h>
#include <string.h>

enum { B = LAYOUT_BLOCK };

/* A piece of work: panels of the output, from one chunk of the input's blocks, for a strip of some images. */
struct turn {
    const struct gather_item *item;
    int image, images, group, panel, panels, block, blocks;
};

/* The weights of a panel for a turn's input blocks, to be transposed; and, while another panel is computed with, the
 * prefetching of them. */
struct panel {
    const struct gather_phase *phase;
    const float *from; /* the first input block, first output block */
    int outs, ins;     /* blocks */
    long next, step;   /* what has been prefetched; 16 x 16 blocks at a time */
};

static struct panel panel_open(const struct gather *g, const struct turn *turn, int panel,
                               const float *weights)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    const int first = panel * g->width, outs = g->out.blocks - first;
    const ptrdiff_t block = ((ptrdiff_t)turn->group * g->in.blocks + turn->block) * g->out.blocks + first;
    struct panel p = {.phase = f,
                      .from = weights + block * (ptrdiff_t)native_weight_block(&g->native),
                      .outs = outs < g->width ? outs : g->width,
                      .ins = turn->blocks};
    p.step = (long)p.outs * p.ins * f->y->taps * f->x->taps / ((long)turn->images * f->calls) + 1;
    return p;
}

static long panel_blocks(const struct panel *p)
{
    return (long)p->outs * p->ins * p->phase->y->taps * p->phase->x->taps;
}

/* Number n of [output block][input block][tap]. */
static const float *panel_block(const struct gather *g, const struct panel *p, long n)
{
    const struct axis *y = p->phase->y, *x = p->phase->x;
    const long taps = (long)y->taps * x->taps, tap = n % taps, block = n / taps;
    return p->from +
           (block % p->ins * g->out.blocks + block / p->ins) * (ptrdiff_t)native_weight_block(&g->native) +
           (y->tap[tap / x->taps].k * g->native.problem.kw + x->tap[tap % x->taps].k) * B * B;
}

static void panel_transpose(const struct gather *g, const struct panel *p, float *to)
{
    const long blocks = panel_blocks(p);
    for (long n = 0; n < blocks; n++)
        g->transpose(panel_block(g, p, n), to + n * B * B);
}

static void panel_prefetch(const struct gather *g, struct panel *p)
{
    const long blocks = panel_blocks(p), end = p->next + p->step < blocks ? p->next + p->step : blocks;
    for (; p->next < end; p->next++) {
        const float *block = panel_block(g, p, p->next);
        for (int i = 0; i < B; i++)
            __builtin_prefetch(block + i * B, 0, 2); /* 2: into level 2 */
    }
}

/* Output blocks of a panel. */
static int panel_width(const struct gather *g, int panel)
{
    const int left = g->out.blocks - panel * g->width;
    return left < g->width ? left : g->width;
}

/* The weights of a panel for a turn's input blocks, as they are. */
static const float *panel_weights(const struct gather *g, const struct turn *turn, int panel,
                                  const float *weights)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    return weights + ((ptrdiff_t)turn->group * g->out.blocks + panel * g->width) * f->panel +
           turn->block * f->block;
}

/* Where the strip of a turn ends. */
static int turn_end(const struct gather *g, const struct turn *turn)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    const int y0 = turn->item->y0;
    return y0 + f->strip.rows < f->y->n ? y0 + f->strip.rows : f->y->n;
}

static struct brgemm_shape make_shape(const struct gather *g, const struct turn *turn, int panel)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    const bool half = g->half && panel == g->panels - 1, tail = turn->block == g->in.blocks - 1;
    return (struct brgemm_shape){.vectors = panel_width(g, panel) * B / g->kernel->vlen - half,
                                 .depth = tail ? f->tail : f->depth,
                                 .a_row = f->strip.pixel,
                                 .a_k = 1,
                                 .b_block = g->transpose ? turn->blocks * f->block : f->panel,
                                 .c_row = (ptrdiff_t)f->x->out_step * g->out.block,
                                 .c_block = (ptrdiff_t)g->out.h * g->out.w * g->out.block,
                                 .accumulate = turn->block > 0};
}

/* Zeroes the second half of the block at c, of a call's rows. */
static void clear_half(const struct brgemm_shape *s, float *c)
{
    for (int i = 0; i < s->rows; i++)
        memset(c + i * s->c_row + B / 2, 0, B / 2 * sizeof *c);
}

/* A band of columns of one panel and one image: the input chunk at a, the weights at b, the output image at c. What to
 * prefetch meanwhile: ahead, which are to be transposed, or NULL; and lines, which are not. A band of one column is
 * worked on downwards, so that it fills register tiles, too. */
static void compute_band(const struct gather *g, const struct turn *turn, int panel, int band, const float *a,
                         const float *b, float *c, struct panel *ahead, struct brgemm_ahead lines)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    const struct activation *out = &g->out;
    const int y0 = turn->item->y0, last = turn_end(g, turn);
    const int first = f->band[band].first, count = f->band[band].count;
    const ptrdiff_t c_line = (ptrdiff_t)f->y->out_step * out->w * out->block;
    struct brgemm_shape s = make_shape(g, turn, panel);
    s.ahead = lines;
    a += first * f->strip.pixel;
    c += ((ptrdiff_t)f->y->out * out->w + f->x->out) * out->block + first * s.c_row;
    if (count == 1) {
        s.a_row = f->strip.row;
        s.c_row = c_line;
    }
    for (int y = y0, next; y < last; y = next) {
        const struct gather_list *list = &f->list[f->list_of_row[y] + band];
        for (next = y + 1;
             (f->strip.merged || count == 1) && next < last && f->list_of_row[next] == f->list_of_row[y];)
            next++;
        s.rows = (next - y) * count;
        s.a_next = (next < last ? next - y : y0 - y) * f->strip.row;
        const float *from = a + (y - y0) * f->strip.row;
        const int segments = turn->blocks * list->of_block;
        if (g->dot)
            g->dot(&(struct dot_shape){s.rows, out->block, s.a_row, s.c_row}, segments, list->segment, from,
                   b, c + y * c_line);
        else
            g->kernel->run(&s, segments, list->segment, from, b, c + y * c_line);
        if (g->half && panel == g->panels - 1 && !s.accumulate)
            clear_half(&s, c + y * c_line + (panel_width(g, panel) - 1) * s.c_block);
        s.ahead = (struct brgemm_ahead){0};
        if (ahead)
            panel_prefetch(g, ahead);
    }
}

/* Pixels [first, end) of the strip from their products to where they belong in the output image at c, with the zeros
 * right of and below each. */
static void spread_pixels(const struct gather *g, const struct turn *turn, int panel, int first, int end,
                          const float *products, float *c)
{
    const struct axis *y = g->phase[turn->item->phase].y, *x = g->phase[turn->item->phase].x;
    for (int block = 0; block < panel_width(g, panel); block++)
        for (int p = first, next; p < end; p = next) {
            const int row = (turn->item->y0 + p / x->n) * y->out_step, column = p % x->n * x->out_step;
            next = p + x->n - p % x->n < end ? p + x->n - p % x->n : end;
            const int right = column + (next - p) * x->out_step, below = row + y->out_step;
            for (int i = row; i < below && i < g->out.h; i++)
                g->spread->row(i == row ? products + block * g->spread_block + (p - first) * B : NULL,
                               x->out_step, c + (((ptrdiff_t)block * g->out.h + i) * g->out.w + column) * B,
                               (right < g->out.w ? right : g->out.w) - column, g->stream);
        }
}

/* As compute_band, all of them, but products: the place of those of all pixels; if one chunk is all, that of GATHER_PIECE. */
static void compute_and_spread(const struct gather *g, const struct turn *turn, int panel, const float *a,
                               const float *b, float *c, float *products, struct panel *ahead)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    const struct gather_list *list = &f->list[0];
    const bool last = turn->block + turn->blocks == g->in.blocks;
    const int pixels = (turn_end(g, turn) - turn->item->y0) * f->x->n;
    struct brgemm_shape s = make_shape(g, turn, panel);
    s.c_row = B;
    s.c_block = g->spread_block;
    for (int p = 0; p < pixels; p += s.rows) {
        float *to = f->chunk < g->in.blocks ? products + (ptrdiff_t)p * B : products;
        s.rows = pixels - p < GATHER_PIECE ? pixels - p : GATHER_PIECE;
        s.a_next = (p + s.rows < pixels ? s.rows : -p) * f->strip.pixel;
        g->kernel->run(&s, turn->blocks * list->of_block, list->segment, a + p * f->strip.pixel, b, to);
        if (last)
            spread_pixels(g, turn, panel, p, p + s.rows, to, c);
        if (ahead)
            panel_prefetch(g, ahead);
    }
}

static ptrdiff_t floats(const struct activation *a)
{
    return (ptrdiff_t)a->blocks * a->h * a->w * a->block;
}

/* All panels of a chunk: the copied strips and the weights of a panel stay in the caches meanwhile. */
static void take_turn(const struct gather *g, const struct turn *turn, const float *in, const float *weights,
                      float *out, float *scratch)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    struct activation part = g->in;
    part.blocks = turn->blocks;
    const int groups = g->native.problem.g;
    float *transposed = scratch, *copies = scratch + g->weight_floats;
    float *products = copies + g->together * g->copy_floats;
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
    struct turn next = *turn; /* the next chunk, first panel */
    next.block += turn->blocks;
    next.blocks = g->in.blocks - next.block < turn->blocks ? g->in.blocks - next.block : turn->blocks;
    for (int panel = turn->panel, last = panel + turn->panels - 1; panel <= last; panel++) {
        const struct turn *then = panel < last ? turn : &next;
        const int coming = panel < last ? panel + 1 : turn->panel;
        struct panel ahead = panel_open(g, then, coming, weights);
        struct brgemm_ahead lines = {0};
        if (!g->transpose && then->blocks > 0)
            lines = (struct brgemm_ahead){panel_weights(g, then, coming, weights), f->panel,
                                          BRGEMM_AHEAD * panel_width(g, coming)};
        const float *b = panel_weights(g, turn, panel, weights);
        if (g->transpose) {
            const struct panel now = panel_open(g, turn, panel, weights);
            panel_transpose(g, &now, transposed);
            phase_mark(PHASE_WEIGHTS);
            b = transposed;
        }
        for (int i = 0; i < turn->images; i++) {
            float *c = out + ((ptrdiff_t)(turn->image + i) * groups + turn->group) * floats(&g->out) +
                       (ptrdiff_t)panel * g->width * g->out.h * g->out.w * g->out.block;
            if (g->spread)
                compute_and_spread(g, turn, panel, a + i * a_image, b, c,
                                   products + ((ptrdiff_t)i * g->panels + panel) * g->spread_panel, &ahead);
            else
                for (int band = 0; band < f->bands; band++)
                    compute_band(g, turn, panel, band, a + i * a_image, b, c, g->transpose ? &ahead : NULL,
                                 lines);
            lines = (struct brgemm_ahead){0};
        }
        phase_mark(PHASE_MULTIPLY);
    }
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

void gather_run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct gather *g = state;
    struct share share[g->threads];
    const long least = g->copy_floats ? g->panels : 1; /* each piece copies its strip */
    for (int t = 0; t < g->threads; t++)
        share_open(&share[t], first_unit(g, t, g->threads), first_unit(g, t + 1, g->threads), g->panels,
                   least);
#pragma omp parallel num_threads(g->threads)
    {
        const int t = omp_get_thread_num();
        for (long n, end; share_take(share, g->threads, t, &n, &end);) {
            const long outer = n / g->panels / g->items;
            struct turn turn = {.item = &g->item[n / g->panels % g->items],
                                .image = (int)(outer / g->native.problem.g) * g->together,
                                .group = (int)(outer % g->native.problem.g),
                                .panel = (int)(n % g->panels)};
            turn.images = g->images - turn.image < g->together ? g->images - turn.image : g->together;
            turn.panels = (int)(end - n);
            for (; turn.block < g->in.blocks; turn.block += turn.blocks) {
                const int chunk = g->phase[turn.item->phase].chunk;
                turn.blocks = g->in.blocks - turn.block < chunk ? g->in.blocks - turn.block : chunk;
                take_turn(g, &turn, tensor[g->input], tensor[CONV_WEI], tensor[g->output],
                          scratch + t * g->scratch_floats);
            }
        }
        if (g->spread)
            g->spread->fence();
    }
}
