/* Forward and backward by gathering (see gather.h), the run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "gather.h"

#include "kernels/transpose.h"
#include "phase.h"
#include "share.h"

#include <omp.h>

enum { B = LAYOUT_BLOCK };

static void transpose_weights(const struct gather *g, const float *weights, float *packed)
{
    const struct conv_problem *q = &g->native.problem;
    const ptrdiff_t taps = (ptrdiff_t)q->kh * q->kw;
#pragma omp for collapse(3)
    for (int group = 0; group < q->g; group++)
        for (int ob = 0; ob < g->out.blocks; ob++)
            for (int ib = 0; ib < g->in.blocks; ib++)
                for (const struct gather_phase *f = g->phase; f < g->phase + g->phases; f++) {
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
    const struct gather_item *item;
    int image, images, group, panel, panels, block, blocks;
};

/* One panel, one image: the input chunk at a, the weights at b, the output image at c. */
static void compute(const struct gather *g, const struct turn *turn, int panel, const float *a,
                    const float *b, float *c)
{
    const struct gather_phase *f = &g->phase[turn->item->phase];
    const struct activation *out = &g->out;
    const int y0 = turn->item->y0;
    const int blocks = out->blocks - panel * g->width < g->width ? out->blocks - panel * g->width : g->width;
    const int last = y0 + f->strip.rows < f->y->n ? y0 + f->strip.rows : f->y->n;
    const ptrdiff_t plane = (ptrdiff_t)out->h * out->w * out->block;
    struct brgemm_shape s = {.vectors = blocks * B / g->kernel->vlen,
                             .depth = f->depth,
                             .a_row = f->strip.pixel,
                             .a_k = 1,
                             .b_block = f->panel,
                             .c_row = (ptrdiff_t)f->x->out_step * out->block,
                             .c_block = plane,
                             .accumulate = turn->block > 0};
    for (int y = y0, next; y < last; y = next) {
        const struct gather_list *list = &f->list[f->list_of_row[y]];
        for (next = y + 1; f->strip.merged && next < last && f->list_of_row[next] == f->list_of_row[y];)
            next++;
        s.rows = (next - y) * f->x->n;
        const float *from = a + (y - y0) * f->strip.row;
        float *to = c + ((ptrdiff_t)(f->y->out + y * f->y->out_step) * out->w + f->x->out) * out->block;
        const int segments = turn->blocks * list->of_block;
        if (g->dot)
            g->dot(&(struct dot_shape){s.rows, out->block, s.a_row, s.c_row}, segments, list->segment, from,
                   b, to);
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
    const struct gather_phase *f = &g->phase[turn->item->phase];
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

void gather_run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct gather *g = state;
    const float *weights = g->transposed ? scratch : tensor[CONV_WEI];
    struct share share[g->threads];
    const long least = g->copy_floats ? g->panels : 1; /* each piece copies its strip */
    for (int t = 0; t < g->threads; t++)
        share_open(&share[t], first_unit(g, t, g->threads), first_unit(g, t + 1, g->threads), g->panels,
                   least);
#pragma omp parallel num_threads(g->threads)
    {
        const int t = omp_get_thread_num();
        float *copies = scratch + g->packed_floats + (size_t)t * g->together * g->copy_floats;
        if (g->transposed) {
            transpose_weights(g, tensor[CONV_WEI], scratch);
            phase_mark(PHASE_WEIGHTS);
        }
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
                take_turn(g, &turn, tensor[g->input], weights, tensor[g->output], copies);
            }
        }
    }
}
