/* Forward and backward: the weights to values once, then each thread takes a block of tiles through all three steps
 * while it lies in the level 2 cache, so that values never go to memory; those of the weights are streamed.
 *
 *     values of the tiles        V  [point][c block][tile][16]       scratch of the thread
 *     values of the weights      U  [point][k panel][c][panel]       scratch shared, panel: width of a register tile
 *     products                   M  [point][k block][tile][16]       over V of the point before: that is used up
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <omp.h>
#include <string.h>

enum {
    B = LAYOUT_BLOCK,
    TAPS = WINOGRAD_TAPS * WINOGRAD_TAPS,
    CHUNK = 8 /* channel blocks summed in registers before they are added to M: shorter sums, less rounding */
};

/* Layouts that follow from the blocking, in floats. */
struct layout {
    int panel;  /* channels in a panel of U */
    int panels; /* panels of one point */
    ptrdiff_t u_point, u_group;
    ptrdiff_t slot;   /* V or M of one point */
    ptrdiff_t thread; /* scratch of one thread */
};

static struct layout make_layout(const struct winograd *w)
{
    struct layout l = {.panel = w->gemm->vectors * w->gemm->vlen};
    l.panels = (w->kb * B + l.panel - 1) / l.panel;
    l.u_point = winograd_stride((ptrdiff_t)l.panels * l.panel * w->cb * B);
    l.u_group = l.u_point * w->points;
    l.slot = winograd_stride((ptrdiff_t)(w->cb > w->kb ? w->cb : w->kb) * w->tile_block * B);
    l.thread = l.slot * (w->points + 1);
    return l;
}

void winograd_image_plan(struct conv_plan *plan)
{
    struct winograd *w = plan->state;
    const long channels = (w->cb > w->kb ? w->cb : w->kb) * B;
    long tiles = winograd_cache_bytes() / (long)(sizeof(float) * (w->points + 1) * channels);
    tiles = tiles < 24 ? 24 : tiles > 48 ? 48 : tiles;
    w->blocks = (w->tiles + tiles - 1) / tiles;
    w->blocks = (w->blocks + plan->threads - 1) / plan->threads * plan->threads;
    w->blocks = w->blocks > w->tiles ? w->tiles : w->blocks;
    w->tile_block = w->blocks ? (int)((w->tiles + w->blocks - 1) / w->blocks) : 0;
    struct layout l = make_layout(w);
    plan->scratch_bytes = sizeof(float) * (size_t)(l.u_group * w->groups + l.thread * plan->threads);
}

/* Weights of the backward pass: flipped taps, and input and output channels exchanged. */
static void flip_block(const float *block, float *flipped)
{
    for (int tap = 0; tap < TAPS; tap++)
        for (int i = 0; i < B; i++)
            for (int j = 0; j < B; j++)
                flipped[((TAPS - 1 - tap) * B + j) * B + i] = block[(tap * B + i) * B + j];
}

/* Values of one 16 x 16 block of the weights, u: of its group. */
static void transform_weights(const struct winograd *w, const struct layout *l, bool backward, float *wei,
                              int group, int k, int c, float *u)
{
    const size_t index =
        backward ? ((size_t)group * w->cb + c) * w->kb + k : ((size_t)group * w->kb + k) * w->cb + c;
    float flipped[TAPS * B * B], *block = wei + index * TAPS * B * B;
    if (backward) {
        flip_block(block, flipped);
        block = flipped;
    }
    const struct winograd_window window = {.base = block,
                                           .row = WINOGRAD_TAPS * B * B,
                                           .pixel = B * B,
                                           .height = WINOGRAD_TAPS,
                                           .width = WINOGRAD_TAPS};
    const int channel = k * B;
    const struct winograd_values values = {.base = u +
                                                   (ptrdiff_t)(channel / l->panel) * w->cb * B * l->panel +
                                                   (ptrdiff_t)c * B * l->panel + channel % l->panel,
                                           .point = l->u_point,
                                           .item = l->panel,
                                           .window = B,
                                           .items = B};
    w->kernel->weights(&window, &values);
}

/* M = V U at one point. */
static void multiply(const struct winograd *w, const struct layout *l, int tiles, const float *v,
                     const float *u, float *m)
{
    const ptrdiff_t block = (ptrdiff_t)w->tile_block * B;
    struct brgemm_segment segment[CHUNK];
    for (int s = 0; s < CHUNK; s++)
        segment[s] = (struct brgemm_segment){s * block, (ptrdiff_t)s * B * l->panel};
    struct brgemm_shape shape = {.rows = tiles, .depth = B, .a_row = B, .a_k = 1, .b_k = l->panel};
    shape.b_vec = w->gemm->vlen;
    shape.c_row = B;
    shape.c_vec = w->gemm->vlen < B ? w->gemm->vlen : block;
    for (int c = 0; c < w->cb; c += CHUNK)
        for (int k = 0; k < l->panels; k++) {
            const int left = w->kb * B - k * l->panel;
            shape.vectors = (left < l->panel ? left : l->panel) / w->gemm->vlen;
            shape.accumulate = c > 0;
            shape.ahead = k + 1 < l->panels   ? u + ((ptrdiff_t)(k + 1) * w->cb + c) * B * l->panel
                          : c + CHUNK < w->cb ? u + (ptrdiff_t)(c + CHUNK) * B * l->panel
                                              : u + l->u_point;
            w->gemm->run(&shape, w->cb - c < CHUNK ? w->cb - c : CHUNK, segment, v + c * block,
                         u + ((ptrdiff_t)k * w->cb + c) * B * l->panel, m + k * (l->panel / B) * block);
        }
}

static void run_block(const struct winograd *w, const struct layout *l, float *large, const float *u,
                      float *small, int group, struct winograd_range range, float *scratch)
{
    const ptrdiff_t block = (ptrdiff_t)w->tile_block * B;
    struct winograd_panel m = {scratch, l->slot, block, B}, v = m;
    v.base += l->slot;
    winograd_read_large(w, large, group, range, v);
    for (int point = 0; point < w->points; point++)
        multiply(w, l, (int)(range.end - range.first), v.base + point * l->slot, u + point * l->u_point,
                 m.base + point * l->slot);
    winograd_write_small(w, small, group, range, m);
}

void winograd_image_run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct winograd *w = plan->state;
    const struct layout l = make_layout(w);
    const bool backward = plan->output == CONV_SRC;
    float *large = tensor[backward ? CONV_DST : CONV_SRC], *small = tensor[plan->output];
    float *u = scratch, *own = u + l.u_group * w->groups;
    const bool dead = w->h.lo > 0 || w->w.lo > 0 || w->h.hi < w->h.small || w->w.hi < w->w.small;
#pragma omp parallel num_threads(plan->threads)
    {
        if (dead) {
            const size_t bytes = plan->bytes[plan->output], team = (size_t)omp_get_num_threads(), line = 64;
            const size_t begin = bytes / line * (size_t)omp_get_thread_num() / team * line;
            const size_t end = bytes / line * ((size_t)omp_get_thread_num() + 1) / team * line;
            memset((char *)small + begin, 0, end - begin);
        }
#pragma omp for collapse(3)
        for (int group = 0; group < w->groups; group++)
            for (int k = 0; k < w->kb; k++)
                for (int c = 0; c < w->cb; c++)
                    transform_weights(w, &l, backward, tensor[CONV_WEI], group, k, c, u + l.u_group * group);
#pragma omp for collapse(2) schedule(dynamic)
        for (int group = 0; group < w->groups; group++)
            for (long block = 0; block < w->blocks; block++)
                run_block(w, &l, large, u + l.u_group * group, small, group, winograd_block(w, block),
                          own + l.thread * omp_get_thread_num());
    }
}
