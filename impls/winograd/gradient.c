/* Gradient: both images to values, their products summed over the tiles at each point, and one transform at the end; in
 * one of two schemes.
 *
 * Own tiles: each thread sums its parts of the tiles; then the sums are added in the order of the threads.
 * Shared tiles: for many channels, where a copy of all sums for each thread is too much. The team makes the values of a
 * part of the tiles; then each thread takes blocks of the sums, with values from level 3 that are prefetched a call
 * before: without that 256 and 512 channels were 1.1 to 1.5 times slower with AVX-512, 1.2 to 1.4 with AVX2 (Zen 4). Where
 * one part is all, it goes on to the weights at once.
 *
 *     values of the large image   V  [point][tile][c]
 *     values of the small image   D  [point][k block][tile][16]
 *     sums                        S  [value][k block][c][16]
 *
 * Phases of stride 2 take turns with V; each has values of its own in S, where a lone tap sums over all points.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "phase.h"
#include "winograd/winograd.h"

#include <omp.h>
#include <string.h>

enum {
    B = LAYOUT_BLOCK,
    TAPS = WINOGRAD_TAPS,
    CHUNK = 128 /* tiles summed in registers before they are added to S: shorter sums, less rounding */
};

/* Layouts that follow from the blocking, in floats. A task is a block of c_step x k_step channel blocks. */
struct layout {
    int c_step, k_step;
    ptrdiff_t v_point, v_tile, d_point, d_block, s_point, s_block;
    ptrdiff_t v, d, s; /* where they begin: all in the scratch of a thread, or V and D in that of the team */
    ptrdiff_t shared, thread; /* size of both */
};

static struct layout make_layout(const struct winograd *w)
{
    enum { STEP = 4 }; /* 64 x 64 sums at a point are 16 KB, and at 36 points close to the level 2 cache */
    struct layout l = {.c_step = w->cb, .k_step = w->kb};
    const bool whole = w->shared && w->parts > 1; /* S of all channels, one for the team */
    if (w->shared) {
        l.c_step = w->cb < STEP ? w->cb : STEP;
        l.k_step = w->kb < STEP ? w->kb : STEP;
    }
    l.v_tile = winograd_stride(w->cb * B);
    l.v_point = winograd_stride(l.v_tile * w->tile_block);
    l.d_block = (ptrdiff_t)w->tile_block * B;
    l.d_point = winograd_stride(l.d_block * w->kb);
    l.s_block = (ptrdiff_t)(whole ? w->cb : l.c_step) * B * B;
    l.s_point = winograd_stride(l.s_block * (whole ? w->kb : l.k_step));
    const ptrdiff_t values = (l.v_point + l.d_point) * w->points, sums = l.s_point * w->values[w->phases];
    l.v = w->shared ? 0 : sums;
    l.d = l.v + l.v_point * w->points;
    l.s = whole ? values : 0;
    l.shared = w->shared ? values + whole * sums : 0;
    l.thread = w->shared ? !whole * sums : values + sums;
    return l;
}

/* Measured (Zen 3): own sums up to 128 x 128 channels. The values of shared parts fill 20 MB of a level 3 cache of 32,
 * those of own parts the level 2 cache. */
void winograd_gradient_plan(struct conv_plan *plan)
{
    enum { OWN_SUMS = 128 * 128, SHARED_BYTES = 20 << 20, SHARED_PART = 96, PART_MIN = 24, PART_MAX = 96 };
    struct winograd *w = plan->state;
    const long tile_bytes = (long)sizeof(float) * w->points * (w->cb + w->kb) * B;
    w->shared = (long)w->cb * w->kb * B * B > OWN_SUMS;
    if (w->shared) {
        const long fit = SHARED_BYTES / tile_bytes, part = fit < SHARED_PART ? SHARED_PART : fit;
        w->parts = (w->tiles + part - 1) / part;
    } else {
        const long fit = winograd_l2_bytes() / tile_bytes;
        const long part = fit < PART_MIN ? PART_MIN : fit > PART_MAX ? PART_MAX : fit;
        w->parts = (w->tiles + part - 1) / part;
        w->parts = (w->parts + plan->threads - 1) / plan->threads * plan->threads;
        w->parts = w->parts > w->tiles ? w->tiles : w->parts;
    }
    w->tile_block = w->parts ? (int)((w->tiles + w->parts - 1) / w->parts) : 0;
    w->stream = plan->bytes[CONV_WEI] > (size_t)(winograd_l2_bytes() * plan->threads);
    const struct layout l = make_layout(w);
    plan->scratch_bytes = sizeof(float) * (size_t)(l.shared + l.thread * plan->threads);
}

struct operands {
    const float *v, *d;
    float *s;
    struct winograd_ahead *ahead; /* of both images, to prefetch meanwhile; or NULL */
};

/* S (+)= V^T D at all points of a phase in a part, for channel blocks [c, c_end) x [k, k_end); s: of the first of them. */
struct task {
    struct winograd_part part;
    int phase, c, c_end, k, k_end;
    bool accumulate;
};

/* The same at one point, for `tiles` of its tiles. */
static void multiply(const struct winograd *w, const struct layout *l, const struct task *t, int tiles,
                     bool accumulate, struct operands o)
{
    const int vlen = w->gemm->vlen, panel = w->gemm->tall.vectors * vlen, width = (t->k_end - t->k) * B;
    struct brgemm_shape shape = {.rows = (t->c_end - t->c) * B,
                                 .a_row = 1,
                                 .a_k = l->v_tile,
                                 .b_block = l->d_block,
                                 .c_row = B,
                                 .c_block = l->s_block,
                                 .accumulate = accumulate};
    const int chunks = tiles > CHUNK ? (tiles + CHUNK - 1) / CHUNK : 1;
    for (int i = 0; i < chunks; i++, shape.accumulate = true) {
        const int tile = tiles * i / chunks;
        const struct brgemm_segment first = {tile * l->v_tile, tile * B};
        shape.depth = tiles * (i + 1) / chunks - tile;
        for (int k = 0; k < width; k += panel) {
            shape.vectors = (width - k < panel ? width - k : panel) / vlen;
            if (w->shared && k + panel < width)
                shape.a_next = 0, shape.b_next = panel / B * l->d_block;
            else if (w->shared) { /* from level 3: the next tiles, or the next point's */
                const bool more = i < chunks - 1;
                shape.a_next = more ? shape.depth * l->v_tile : l->v_point - first.a;
                shape.b_next = (more ? shape.depth * B : l->d_point - first.b) - k / B * l->d_block;
            }
            w->gemm->run(&shape, 1, &first, o.v, o.d + k / B * l->d_block, o.s + k / B * l->s_block);
            for (int image = 0; o.ahead && image < 2; image++)
                winograd_ahead_step(&o.ahead[image]);
        }
    }
}

static void multiply_points(const struct winograd *w, const struct layout *l, const struct task *t,
                            struct operands o)
{
    bool begun[(2 * WINOGRAD_PAIRS_MAX + 2) * (2 * WINOGRAD_PAIRS_MAX + 2)] = {false}; /* values */
    for (int point = 0; point < w->points; point++) {
        const int value = winograd_tap_value(w, t->phase, point);
        if (value < 0)
            continue;
        const struct winograd_part sum = winograd_at_point(w, t->part, point);
        const ptrdiff_t first = sum.tile - t->part.tile;
        multiply(w, l, t, (int)(sum.tile_end - sum.tile), t->accumulate || begun[value],
                 (struct operands){o.v + point * l->v_point + first * l->v_tile + t->c * B,
                                   o.d + point * l->d_point + t->k * l->d_block + first * B,
                                   o.s + (w->values[t->phase] + value) * l->s_point, o.ahead});
        begun[value] = true;
    }
}

/* Taps that meet no pixel at all are zero by definition; the transforms would leave rounding errors. Number `tap` of an
 * axis. */
static bool tap_is_dead(const struct winograd_axis *a, int tap)
{
    const int first = a->pad - tap > 0 ? a->pad - tap : 0;
    const int end = a->large.count + a->pad - tap;
    return first >= (end < a->small.count ? end : a->small.count);
}

/* What a run works on. */
struct job {
    const struct winograd *w;
    struct layout l;
    float *src, *dst, *wei;
    float *shared, *thread; /* the scratch */
};

/* The weights of task t, the taps of its phase, from their sums; threads: how many have sums of their own, l.thread floats
 * apart. */
static void write_weights(const struct job *j, int group, struct task t, int threads, float *s)
{
    const struct winograd *w = j->w;
    const struct layout *l = &j->l;
    const struct winograd_axis *h = &w->h[t.phase / w->stride], *v = &w->w[t.phase % w->stride];
    for (int k = t.k; k < t.k_end; k++)
        for (int c = t.c; c < t.c_end; c++) {
            float *sum = s + (k - t.k) * l->s_block + (ptrdiff_t)(c - t.c) * B * B;
            for (int other = 1; other < threads; other++)
                for (int value = w->values[t.phase]; value < w->values[t.phase + 1]; value++)
                    for (int i = 0; i < B * B; i++)
                        sum[value * l->s_point + i] += sum[other * l->thread + value * l->s_point + i];
            phase_mark(PHASE_REDUCE);
            const struct winograd_window window = {
                .base = j->wei + ((((size_t)group * w->kb + k) * w->cb + c) * TAPS * TAPS +
                                  (size_t)h->tap * TAPS + v->tap) *
                                     B * B,
                .row = w->stride * TAPS * B * B,
                .pixel = w->stride * B * B,
                .height = h->taps,
                .width = v->taps,
                .stream = w->stream};
            const struct winograd_values values = {.base = sum + w->values[t.phase] * l->s_point,
                                                   .point = l->s_point,
                                                   .row = (v->taps == 1 ? 1 : w->n) * l->s_point,
                                                   .item = B,
                                                   .window = B,
                                                   .items = B};
            w->kernel->gradient(&window, &values);
            for (int y = 0; y < h->taps; y++)
                for (int x = 0; x < v->taps; x++)
                    if (tap_is_dead(h, y) || tap_is_dead(v, x))
                        memset(window.base + y * window.row + x * window.pixel, 0, B * B * sizeof(float));
            phase_mark(PHASE_OUTPUT);
        }
}

/* Both are called by every thread of the team. */
static void run_own_tiles(const struct job *j, int group)
{
    const struct winograd *w = j->w;
    const struct layout *l = &j->l;
    const int team = omp_get_num_threads(), self = omp_get_thread_num();
    const int threads = w->parts < team ? (int)w->parts : team;
    float *own = j->thread + l->thread * self;
    const long first = w->parts * self / threads, end = w->parts * (self + 1) / threads;
    const long calls = (long)w->points * (w->kb * B / w->gemm->vlen / w->gemm->tall.vectors + 1);
    for (long index = first; self < threads && index < end; index++) {
        const struct winograd_part in = winograd_cut(w, index, w->parts, w->cb);
        const struct winograd_part out = winograd_cut(w, index, w->parts, w->kb);
        const long next = index + 1 < end ? index + 1 : w->parts;
        winograd_read_small(w, 0, j->dst, group, out,
                            (struct winograd_panel){own + l->d, l->d_point, l->d_block, B});
        for (int phase = 0; phase < w->phases; phase++) {
            const bool last = phase == w->phases - 1;
            winograd_read_large(w, phase, j->src, group, in,
                                (struct winograd_panel){own + l->v, l->v_point, B, l->v_tile});
            phase_mark(PHASE_INPUT);
            struct winograd_ahead ahead[] = {
                winograd_ahead(w, last ? 0 : phase + 1, j->src, group, true, last ? next : index, calls),
                winograd_ahead(w, 0, j->dst, group, false, last ? next : w->parts, calls)};
            const struct task t = {in, phase, 0, w->cb, 0, w->kb, index > first};
            multiply_points(w, l, &t, (struct operands){own + l->v, own + l->d, own + l->s, ahead});
            phase_mark(PHASE_MULTIPLY);
        }
    }
#pragma omp barrier
    phase_mark(PHASE_MULTIPLY);
#pragma omp for collapse(2)
    for (int k = 0; k < w->kb; k++)
        for (int c = 0; c < w->cb; c++)
            for (int phase = 0; phase < w->phases; phase++)
                write_weights(j, group,
                              (struct task){.phase = phase, .c = c, .c_end = c + 1, .k = k, .k_end = k + 1},
                              threads, j->thread + l->s + k * l->s_block + (ptrdiff_t)c * B * B);
}

/* Values of one tile of a phase, in its place in the part; the small image's are the same for all phases. */
static void read_tile(const struct job *j, int group, struct winograd_part part, int phase, long tile)
{
    const struct layout *l = &j->l;
    const ptrdiff_t place = tile - part.tile;
    winograd_read_large(
        j->w, phase, j->src, group, (struct winograd_part){tile, tile + 1, 0, j->w->cb},
        (struct winograd_panel){j->shared + l->v + place * l->v_tile, l->v_point, B, l->v_tile});
    if (phase == 0)
        winograd_read_small(j->w, phase, j->dst, group, (struct winograd_part){tile, tile + 1, 0, j->w->kb},
                            (struct winograd_panel){j->shared + l->d + place * B, l->d_point, l->d_block, B});
}

static void run_shared_tiles(const struct job *j, int group)
{
    const struct winograd *w = j->w;
    const struct layout *l = &j->l;
    for (long index = 0; index < w->parts; index++) {
        const struct winograd_part part = winograd_cut(w, index, w->parts, w->cb);
        for (int phase = 0; phase < w->phases; phase++) {
#pragma omp for
            for (long tile = part.tile; tile < part.tile_end; tile++)
                read_tile(j, group, part, phase, tile);
            phase_mark(PHASE_INPUT);
#pragma omp for collapse(2) schedule(dynamic)
            for (int k = 0; k < w->kb; k += l->k_step)
                for (int c = 0; c < w->cb; c += l->c_step) {
                    const struct task t = {part,     phase,
                                           c,        c + l->c_step < w->cb ? c + l->c_step : w->cb,
                                           k,        k + l->k_step < w->kb ? k + l->k_step : w->kb,
                                           index > 0};
                    float *s = w->parts > 1 ? j->shared + l->s + k * l->s_block + (ptrdiff_t)c * B * B
                                            : j->thread + l->thread * omp_get_thread_num();
                    multiply_points(w, l, &t, (struct operands){j->shared + l->v, j->shared + l->d, s, NULL});
                    phase_mark(PHASE_MULTIPLY);
                    if (index == w->parts - 1)
                        write_weights(j, group, t, 1, s);
                }
        }
    }
}

void winograd_gradient_run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct winograd *w = plan->state;
    struct job job = {.w = w,
                      .l = make_layout(w),
                      .src = tensor[CONV_SRC],
                      .dst = tensor[CONV_DST],
                      .wei = tensor[CONV_WEI]};
    job.shared = scratch;
    job.thread = job.shared + job.l.shared;
    if (w->parts == 0) {
        memset(job.wei, 0, plan->bytes[CONV_WEI]);
        return;
    }
#pragma omp parallel num_threads(plan->threads)
    {
        for (int group = 0; group < w->groups; group++)
            (w->shared ? run_shared_tiles : run_own_tiles)(&job, group);
        w->kernel->fence();
    }
}
