/* Forward and backward: values of the tiles times values of the weights at each point, in one of two schemes.
 *
 * Own tiles: the weights become values once; then each thread takes parts of the tiles through all three steps while
 * they lie in its level 2 cache. The values of the weights are streamed, once a part.
 * Shared tiles: for few tiles and many channels, where the values of the weights are what is large. The team makes the
 * values of all tiles; then each thread takes output channels, and makes the values of their weights just before use,
 * some input channels at a time, so that these never leave the caches; meanwhile the next weights are prefetched.
 *
 *     values of the tiles        V  [point][c block][tile][16]
 *     values of the weights      U  [value][k block][c][16]
 *     products                   M  [point][k block][tile][16]       own tiles: over V of the point before, which is used up
 *
 * Phases of stride 2 take turns: forward their products add up in M, which then has a place of its own; backward each is
 * written where it belongs. Shared tiles keep the V of all phases that add up.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ahead.h"
#include "phase.h"
#include "winograd/winograd.h"

#include <omp.h>
#include <string.h>

enum {
    B = LAYOUT_BLOCK,
    KERNEL = WINOGRAD_TAPS,
    TAPS = KERNEL * KERNEL,
    CHUNK =
        8, /* channel blocks summed in registers before they are added to M: shorter sums, less rounding */
    V_BYTES = 10 << 20 /* a third of a level 3 cache of 32 MB; at 13 MB nothing was won (Zen 3) */
};

/* Layouts that follow from the blocking, in floats. */
struct layout {
    int panel;          /* channel blocks across the register tile */
    int c_step, k_step; /* channel blocks that U holds */
    ptrdiff_t u_block, u_point, block, v_point, m_point;
    ptrdiff_t shared, thread; /* scratch of the team (U, or V if tiles are shared) and of a thread */
    ptrdiff_t m, v;           /* where M begins in that of a thread; and V, if tiles are own */
    ptrdiff_t phase;          /* from the V of a phase to the next one's, if tiles are shared */
};

static int min(int a, int b)
{
    return a < b ? a : b;
}

static struct layout make_layout(const struct winograd *w, int threads)
{
    struct layout l = {.panel = w->gemm->wide.vectors * w->gemm->vlen / B, .c_step = w->cb, .k_step = w->kb};
    if (w->shared) {
        /* The more channels U holds, the fewer passes over M; but next to a V that fills the level 3 cache U should stay in
         * level 2, and two panels share a pass over V. Every thread should have output channels. */
        const bool large = (long)sizeof(float) * w->points * w->cb * B * w->tile_block > V_BYTES;
        l.k_step = min(large ? 2 * l.panel : l.panel, (w->kb + threads - 1) / threads);
        const ptrdiff_t bytes = sizeof(float) * w->points * l.k_step * B * B; /* of U for one block of c */
        l.c_step = min(w->cb, large ? (int)(winograd_l2_bytes() * 2 / 3 / bytes) + 1 : CHUNK);
    }
    l.u_block = (ptrdiff_t)l.c_step * B * B;
    l.u_point = winograd_stride(l.k_step * l.u_block);
    l.block = winograd_stride((ptrdiff_t)w->tile_block * B);
    l.v_point = winograd_stride(l.block * (w->shared || w->cb > w->kb ? w->cb : w->kb));
    l.m_point = w->shared ? winograd_stride(l.block * l.k_step) : l.v_point;
    l.phase = l.v_point * w->points;
    l.shared = w->shared ? l.phase * w->summed : l.u_point * w->values[w->phases] * w->groups;
    l.m = w->shared ? l.u_point * w->points : 0;
    l.v = w->summed > 1 ? l.m_point * w->points : l.m_point;
    l.thread = l.m + l.m_point * w->points + (w->shared ? 0 : l.v);
    return l;
}

/* Which of the values are streamed and which stay: the smaller ones stay. Measured (minibatch 8, 2 threads): on Zen 4 at
 * 28x28, with 100 tiles a thread, 512 x 512 channels are a third faster with shared tiles, 128 x 128 a tenth with own ones.
 * With 196 tiles a thread (Zen 3) own ones won even if the values of 512 x 512 weights come from memory. Own parts are three
 * register tiles of AVX-512: at 256 channels, where the values of both exceed level 2, these beat 24 tiles by 7 %, and
 * below they are level with all sizes from 28 to 56 (Zen 4). */
void winograd_image_plan(struct conv_plan *plan)
{
    enum { MANY_TILES = 192, SHARED_PART = 256, OWN_PART = 42 };
    struct winograd *w = plan->state;
    const long weight_values = (long)w->values[w->phases] * w->cb * w->kb * B * B;
    const long tile_values = (long)w->phases * w->points * w->cb * B * w->tiles;
    w->shared = w->tiles < (long)MANY_TILES * plan->threads && weight_values > tile_values;
    if (w->shared)
        w->parts = (w->tiles + SHARED_PART - 1) / SHARED_PART;
    else {
        w->parts = (w->tiles + OWN_PART - 1) / OWN_PART;
        w->parts = (w->parts + plan->threads - 1) / plan->threads * plan->threads;
    }
    w->tile_block = w->parts ? (int)((w->tiles + w->parts - 1) / w->parts) : 0;
    w->stream = plan->bytes[plan->output] > (size_t)(winograd_l2_bytes() * plan->threads);
    const struct layout l = make_layout(w, plan->threads);
    plan->scratch_bytes = sizeof(float) * (size_t)(l.shared + l.thread * plan->threads);
}

/* Values of a phase of one 16 x 16 block of the weights, of a copy that read it in order: the transform would walk its
 * taps in memory side by side. Backward, the taps are flipped and the channels exchanged. */
static void transform_block(const struct winograd *w, const struct layout *l, bool backward, int phase,
                            const float *block, float *values)
{
    const struct winograd_axis *h = &w->h[phase / w->stride], *v = &w->w[phase % w->stride];
    float taps[TAPS * B * B], *to = taps;
    for (int y = 0; y < h->taps; y++)
        for (int x = 0; x < v->taps; x++, to += B * B) {
            const int tap = (h->tap + y * w->stride) * KERNEL + v->tap + x * w->stride;
            if (backward)
                w->transpose(block + (TAPS - 1 - tap) * B * B, to);
            else
                memcpy(to, block + tap * B * B, B * B * sizeof *to);
        }
    const struct winograd_window window = {
        .base = taps, .row = v->taps * B * B, .pixel = B * B, .height = h->taps, .width = v->taps};
    const struct winograd_values at = {.base = values,
                                       .point = l->u_point,
                                       .row = (v->taps == 1 ? 1 : w->n) * l->u_point,
                                       .item = B,
                                       .window = B,
                                       .items = B};
    w->kernel->weights(&window, &at);
}

/* The channel blocks [k, k_end) x [c, c_end) of a group's weights, for a phase. */
struct weights_part {
    int group, phase, k, k_end, c, c_end;
};

enum { WEIGHTS = TAPS * B * B }; /* floats of a block */

static float *weights_block(const struct winograd *w, bool backward, float *wei, int group, int k, int c)
{
    return wei + WEIGHTS * (backward ? ((size_t)group * w->cb + c) * w->kb + k
                                     : ((size_t)group * w->kb + k) * w->cb + c);
}

static void transform_weights(const struct winograd *w, const struct layout *l, bool backward, float *wei,
                              struct weights_part p, float *u)
{
    for (int k = p.k; k < p.k_end; k++)
        for (int c = p.c; c < p.c_end; c++)
            transform_block(w, l, backward, p.phase, weights_block(w, backward, wei, p.group, k, c),
                            u + k % l->k_step * l->u_block + (ptrdiff_t)(c % l->c_step) * B * B);
}

/* The prefetching of what that will read. */
static struct ahead weights_ahead(const struct winograd *w, bool backward, float *wei, struct weights_part p)
{
    const int ks = p.k_end - p.k, cs = p.c_end - p.c;
    if (ks <= 0)
        return (struct ahead){0};
    return (struct ahead){.at = weights_block(w, backward, wei, p.group, p.k, p.c),
                          .block = (ptrdiff_t)WEIGHTS * (backward ? w->kb : w->cb),
                          .piece = (ptrdiff_t)WEIGHTS * (backward ? ks : cs),
                          .blocks = backward ? cs : ks,
                          .images = 1};
}

struct operands {
    const float *v, *u;
    float *m;
    struct winograd_ahead *image; /* what to prefetch meanwhile, or NULL */
    struct ahead *weights;        /* likewise by a roomy kernel, instead of the values of weights */
};

/* M (+)= V U at one point, for `cb` and `kb` channel blocks. */
static void multiply(const struct winograd *w, const struct layout *l, struct brgemm_shape shape, int cb,
                     int kb, struct operands o)
{
    struct brgemm_segment segment[CHUNK];
    for (int s = 0; s < CHUNK; s++)
        segment[s] = (struct brgemm_segment){s * l->block, (ptrdiff_t)s * B * B};
    for (int c = 0; c < cb; c += CHUNK, shape.accumulate = true)
        for (int k = 0; k < kb; k += l->panel) {
            const float *panel = o.u + k * l->u_block + (ptrdiff_t)c * B * B;
            const float *next = k + l->panel < kb ? panel + l->panel * l->u_block
                                : c + CHUNK < cb  ? o.u + (ptrdiff_t)(c + CHUNK) * B * B
                                                  : o.u + l->u_point;
            shape.vectors = min(kb - k, l->panel) * B / w->gemm->vlen;
            const bool weights = o.weights && w->gemm->roomy;
            shape.b_next = weights ? 0 : next - panel;
            shape.ahead = weights ? ahead_take(o.weights, &shape, min(cb - c, CHUNK), w->gemm->wide.rows)
                                  : (struct brgemm_ahead){next, l->u_block, BRGEMM_AHEAD * l->panel};
            shape.a_next = k + l->panel < kb ? 0
                           : c + CHUNK < cb  ? CHUNK * l->block
                                             : l->v_point - c * l->block;
            w->gemm->run(&shape, min(cb - c, CHUNK), segment, o.v + c * l->block, panel, o.m + k * l->block);
            if (o.image)
                winograd_ahead_step(o.image);
        }
}

/* M (+)= V U at all points of a phase; zero where it has none. */
static void multiply_points(const struct winograd *w, const struct layout *l, struct winograd_part tiles,
                            struct weights_part weights, bool accumulate, struct operands o)
{
    const int cb = weights.c_end - weights.c, kb = weights.k_end - weights.k;
    struct brgemm_shape shape = {.depth = B,
                                 .a_row = B,
                                 .a_k = 1,
                                 .b_block = l->u_block,
                                 .c_row = B,
                                 .c_block = l->block,
                                 .accumulate = accumulate};
    for (int point = 0; point < w->points; point++) {
        const struct winograd_part rows = winograd_at_point(w, tiles, point);
        const ptrdiff_t first = (rows.tile - tiles.tile) * B;
        const int value = winograd_tap_value(w, weights.phase, point);
        float *m = o.m + point * l->m_point + first;
        shape.rows = (int)(rows.tile_end - rows.tile);
        if (value >= 0)
            multiply(w, l, shape, cb, kb,
                     (struct operands){o.v + point * l->v_point + weights.c * l->block + first,
                                       o.u + value * l->u_point, m, o.image, o.weights});
        else if (!accumulate)
            for (int k = 0; k < kb; k++)
                memset(m + k * l->block, 0, (size_t)shape.rows * B * sizeof *m);
    }
}

/* What a run works on. */
struct job {
    const struct winograd *w;
    struct layout l;
    bool backward;
    float *large, *wei, *small; /* the tensors */
    float *shared, *thread;     /* the scratch */
};

/* Both are called by every thread of the team. */
static void run_own_tiles(const struct job *j, int group)
{
    const struct winograd *w = j->w;
    const struct layout *l = &j->l;
    float *u = j->shared + l->u_point * w->values[w->phases] * group;
    float *m = j->thread + l->thread * omp_get_thread_num(), *v = m + l->v;
#pragma omp for collapse(2)
    for (int k = 0; k < w->kb; k++)
        for (int c = 0; c < w->cb; c++)
            for (int phase = 0; phase < w->phases; phase++)
                transform_weights(w, l, j->backward, j->wei,
                                  (struct weights_part){group, phase, k, k + 1, c, c + 1},
                                  u + w->values[phase] * l->u_point);
    phase_mark(PHASE_WEIGHTS);
#pragma omp for schedule(dynamic) nowait
    for (long index = 0; index < w->parts; index++) {
        const struct winograd_part in = winograd_cut(w, index, w->parts, w->cb);
        const struct winograd_part out = winograd_cut(w, index, w->parts, w->kb);
        const long calls =
            (long)w->points * ((w->cb + CHUNK - 1) / CHUNK) * ((w->kb + l->panel - 1) / l->panel);
        for (int phase = 0; phase < w->phases; phase++) {
            const bool last = phase == w->phases - 1;
            struct winograd_ahead ahead = winograd_ahead(w, last ? 0 : phase + 1, j->large, group, true,
                                                         last ? index + omp_get_num_threads() : index, calls);
            winograd_read_large(w, phase, j->large, group, in,
                                (struct winograd_panel){v, l->v_point, l->block, B});
            phase_mark(PHASE_INPUT);
            multiply_points(w, l, in, (struct weights_part){group, phase, 0, w->kb, 0, w->cb},
                            phase % w->summed > 0,
                            (struct operands){v, u + w->values[phase] * l->u_point, m, &ahead, NULL});
            phase_mark(PHASE_MULTIPLY);
            if ((phase + 1) % w->summed == 0)
                winograd_write_small(w, phase, j->small, group, out,
                                     (struct winograd_panel){m, l->m_point, l->block, B});
            phase_mark(PHASE_OUTPUT);
        }
    }
}

/* The products of some output channels of a part for phases [first, first + w->summed), and what they become. */
static void multiply_shared(const struct job *j, int group, struct winograd_part part, int first, int k)
{
    const struct winograd *w = j->w;
    const struct layout *l = &j->l;
    float *u = j->thread + l->thread * omp_get_thread_num(), *m = u + l->m;
    const int k_end = min(k + l->k_step, w->kb);
    for (int phase = first; phase < first + w->summed; phase++) {
        const float *v = j->shared + (phase - first) * l->phase;
        for (int c = 0, end; c < w->cb; c = end) {
            end = min(c + l->c_step, w->cb);
            const struct weights_part weights = {group, phase, k, k_end, c, end};
            transform_weights(w, l, j->backward, j->wei, weights, u);
            phase_mark(PHASE_WEIGHTS);
            struct weights_part next = weights; /* if no other thread takes it */
            next.c = end < w->cb ? end : 0;
            next.c_end = min(next.c + l->c_step, w->cb);
            if (end == w->cb && phase == first + w->summed - 1) {
                next.k = k + l->k_step * omp_get_num_threads();
                next.k_end = min(next.k + l->k_step, w->kb);
            }
            struct ahead ahead = weights_ahead(w, j->backward, j->wei, next);
            multiply_points(w, l, part, weights, c > 0 || phase > first,
                            (struct operands){v, u, m, NULL, &ahead});
            phase_mark(PHASE_MULTIPLY);
        }
    }
    winograd_write_small(w, first, j->small, group,
                         (struct winograd_part){part.tile, part.tile_end, k, k_end},
                         (struct winograd_panel){m, l->m_point, l->block, B});
    phase_mark(PHASE_OUTPUT);
}

static void run_shared_tiles(const struct job *j, int group)
{
    const struct winograd *w = j->w;
    const struct layout *l = &j->l;
    for (long index = 0; index < w->parts; index++) {
        const struct winograd_part part = winograd_cut(w, index, w->parts, w->cb);
        for (int first = 0; first < w->phases; first += w->summed) {
#pragma omp for collapse(3)
            for (int phase = first; phase < first + w->summed; phase++)
                for (long tile = part.tile; tile < part.tile_end; tile++)
                    for (int c = 0; c < w->cb; c++)
                        winograd_read_large(w, phase, j->large, group,
                                            (struct winograd_part){tile, tile + 1, c, c + 1},
                                            (struct winograd_panel){j->shared + (phase - first) * l->phase +
                                                                        c * l->block + (tile - part.tile) * B,
                                                                    l->v_point, l->block, B});
            phase_mark(PHASE_INPUT);
#pragma omp for schedule(dynamic)
            for (int k = 0; k < w->kb; k += l->k_step)
                multiply_shared(j, group, part, first, k);
        }
    }
}

/* Pixels that meet no tap are in no tile. */
static void zero_share(const struct winograd *w, char *image, size_t bytes)
{
    const struct winograd_axis *h = w->h, *v = w->w;
    if (h->lo == 0 && v->lo == 0 && h->hi == h->small.count && v->hi == v->small.count)
        return;
    const size_t block = 64;
#pragma omp for
    for (size_t i = 0; i < bytes; i += block)
        memset(image + i, 0, block);
    phase_mark(PHASE_OUTPUT);
}

void winograd_image_run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct winograd *w = plan->state;
    struct job job = {.w = w, .l = make_layout(w, plan->threads), .backward = plan->output == CONV_SRC};
    job.large = tensor[job.backward ? CONV_DST : CONV_SRC];
    job.wei = tensor[CONV_WEI];
    job.small = tensor[plan->output];
    job.shared = scratch;
    job.thread = job.shared + job.l.shared;
#pragma omp parallel num_threads(plan->threads)
    {
        zero_share(w, (char *)job.small, plan->bytes[plan->output]);
        for (int group = 0; group < w->groups; group++)
            (w->shared ? run_shared_tiles : run_own_tiles)(&job, group);
        w->kernel->fence();
    }
}
