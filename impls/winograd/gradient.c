/* Gradient: both images to values, their product summed over the tiles at each point, and one transform at the end.
 * Each thread sums the tiles of its blocks; then the sums are added in the order of the threads.
 *
 *     values of the large image   V  [point][tile][c]                   scratch of the thread
 *     values of the small image   D  [point][k block][tile][16]         scratch of the thread
 *     sums                        S  [point][k block][c][16]            scratch of the thread, added to the first one's
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <omp.h>
#include <string.h>

enum { B = LAYOUT_BLOCK, TAPS = WINOGRAD_TAPS };

/* Layouts that follow from the blocking, in floats. */
struct layout {
    struct winograd_panel v, d;
    ptrdiff_t s_point;
    ptrdiff_t v_begin, d_begin, thread; /* in the scratch of a thread: S, V, D */
};

static struct layout make_layout(const struct winograd *w)
{
    struct layout l = {0};
    l.v.block = B;
    l.v.tile = winograd_stride(w->cb * B);
    l.v.point = winograd_stride(l.v.tile * w->tile_block);
    l.d.tile = B;
    l.d.block = (ptrdiff_t)w->tile_block * B;
    l.d.point = winograd_stride(l.d.block * w->kb);
    l.s_point = winograd_stride((ptrdiff_t)w->cb * w->kb * B * B);
    l.v_begin = l.s_point * w->points;
    l.d_begin = l.v_begin + l.v.point * w->points;
    l.thread = l.d_begin + l.d.point * w->points;
    return l;
}

void winograd_gradient_plan(struct conv_plan *plan)
{
    struct winograd *w = plan->state;
    long tiles = winograd_l2_bytes() / (long)(sizeof(float) * w->points * (w->cb + w->kb) * B);
    tiles = tiles < 24 ? 24 : tiles > 96 ? 96 : tiles;
    w->parts = (w->tiles + tiles - 1) / tiles;
    w->parts = (w->parts + plan->threads - 1) / plan->threads * plan->threads;
    w->parts = w->parts > w->tiles ? w->tiles : w->parts;
    w->tile_block = w->parts ? (int)((w->tiles + w->parts - 1) / w->parts) : 0;
    plan->scratch_bytes = sizeof(float) * (size_t)(make_layout(w).thread * plan->threads);
}

/* S (+)= V^T D at one point. */
static void multiply(const struct winograd *w, const struct layout *l, int tiles, bool accumulate,
                     const float *v, const float *d, float *s)
{
    const int vlen = w->gemm->vlen, panel = w->gemm->vectors * vlen;
    const struct brgemm_segment origin = {0, 0};
    struct brgemm_shape shape = {
        .rows = w->cb * B, .depth = tiles, .a_row = 1, .a_k = l->v.tile, .b_k = B, .accumulate = accumulate};
    shape.b_vec = vlen < B ? vlen : l->d.block;
    shape.c_row = B;
    shape.c_vec = vlen < B ? vlen : (ptrdiff_t)w->cb * B * B;
    for (int k = 0; k < w->kb * B; k += panel) {
        shape.vectors = (w->kb * B - k < panel ? w->kb * B - k : panel) / vlen;
        w->gemm->run(&shape, 1, &origin, v, d + k / B * l->d.block, s + (ptrdiff_t)k * w->cb * B);
    }
}

static void run_block(const struct winograd *w, const struct layout *l, float *large, float *small, int group,
                      long block, bool accumulate, float *scratch)
{
    const struct winograd_part in = winograd_cut(w, block, w->parts, w->cb);
    const struct winograd_part out = winograd_cut(w, block, w->parts, w->kb);
    struct winograd_panel v = l->v, d = l->d;
    v.base = scratch + l->v_begin;
    d.base = scratch + l->d_begin;
    winograd_read_large(w, large, group, in, v);
    winograd_read_small(w, small, group, out, d);
    for (int point = 0; point < w->points; point++)
        multiply(w, l, (int)(in.tile_end - in.tile), accumulate, v.base + point * v.point,
                 d.base + point * d.point, scratch + point * l->s_point);
}

/* Taps that meet no pixel at all are zero by definition; the transforms would leave rounding errors. */
static bool tap_is_dead(const struct winograd_axis *a, int tap)
{
    const int first = a->pad - tap > 0 ? a->pad - tap : 0;
    const int last = a->large - 1 + a->pad - tap < a->small - 1 ? a->large - 1 + a->pad - tap : a->small - 1;
    return first > last;
}

/* Adds the sums of `parts` threads and transforms them: one 16 x 16 block of the weights. */
static void write_weights(const struct winograd *w, const struct layout *l, int parts, int k, int c,
                          float *scratch, float *wei)
{
    float *sum = scratch + ((ptrdiff_t)k * w->cb + c) * B * B;
    for (int part = 1; part < parts; part++)
        for (int point = 0; point < w->points; point++) {
            const float *from = sum + part * l->thread + point * l->s_point;
            for (int i = 0; i < B * B; i++)
                sum[point * l->s_point + i] += from[i];
        }
    const struct winograd_window window = {
        .base = wei, .row = TAPS * B * B, .pixel = B * B, .height = TAPS, .width = TAPS};
    const struct winograd_values values = {
        .base = sum, .point = l->s_point, .item = B, .window = B, .items = B};
    w->kernel->gradient(&window, &values);
    for (int h = 0; h < TAPS; h++)
        for (int v = 0; v < TAPS; v++)
            if (tap_is_dead(&w->h, h) || tap_is_dead(&w->w, v))
                memset(wei + (h * TAPS + v) * B * B, 0, B * B * sizeof *wei);
}

void winograd_gradient_run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct winograd *w = plan->state;
    const struct layout l = make_layout(w);
    if (w->parts == 0) {
        memset(tensor[CONV_WEI], 0, plan->bytes[CONV_WEI]);
        return;
    }
#pragma omp parallel num_threads(plan->threads)
    {
        const int team = omp_get_num_threads(), self = omp_get_thread_num();
        const int parts = w->parts < team ? (int)w->parts : team;
        for (int group = 0; group < w->groups; group++) {
            const long begin = w->parts * self / parts, end = w->parts * (self + 1) / parts;
            for (long block = begin; self < parts && block < end; block++)
                run_block(w, &l, tensor[CONV_SRC], tensor[CONV_DST], group, block, block > begin,
                          (float *)scratch + l.thread * self);
#pragma omp barrier
#pragma omp for collapse(2)
            for (int k = 0; k < w->kb; k++)
                for (int c = 0; c < w->cb; c++)
                    write_weights(w, &l, parts, k, c, scratch,
                                  tensor[CONV_WEI] +
                                      (((size_t)group * w->kb + k) * w->cb + c) * TAPS * TAPS * B * B);
        }
    }
}
