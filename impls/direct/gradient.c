/* The weight gradient: dw(oc, ic, tap) is a matrix product whose reduction runs over pixels,
 *
 *     A[i][k] = src channel i (of all horizontal taps, where they are one piece of memory) at pixel k,
 *     B[k][j] = dst channel j at pixel k,
 *
 * so the register kernel takes it as it is, one call a (input block, output panel, tap) and group of strips. A task
 * is a block of dw that stays in the level-2 cache while all strips go by. Threads share (task, strips) evenly: a
 * thread that begins in the middle of a task sums into a block of its own, which is added at the end.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"
#include "kernels/ahead.h"
#include "phase.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = LAYOUT_BLOCK };

/* Pixels that one call reduces over, for each PIXELS_CACHE bytes of level 2 cache: 64 made 1x1 gradients a fifth slower,
 * 112 7 %, for the additions to dw and what every call begins with. With 512 KB 392 were no faster (Zen 3), with 1 MB they
 * were by 2 % (Zen 4). */
enum { PIXELS = 196, PIXELS_CACHE = 512 << 10 };

/* A thread that is to take a part of a task's pixels gets so many at least: adding its sums to dw costs as much as a few. */
enum { LEAST_PIXELS = 32 };

struct gradient {
    struct native native;
    const struct brgemm_kernel *kernel;
    struct axis y, x;
    struct strip strip;
    int threads;
    bool in_order;  /* dw is written in the order of memory */
    bool fused;     /* horizontal taps and channels together are the rows of A */
    int together;   /* images in a call */
    int ibs, obs;   /* input and output blocks of a task */
    int rows, last; /* of A, of an input block and of the last one, which may have fewer channels */
    bool half;      /* the last output block needs one of its two vectors only */
    int ic_tasks, oc_tasks;
    long tasks, units;                  /* units: groups of strips in a task */
    size_t copy_floats;                 /* of a strip */
    size_t segments;                    /* of a vertical tap, at most */
    size_t task_floats, scratch_floats; /* of a block of dw; of a thread */
};

/* One vertical tap's reduction over the strips at hand. */
struct reduction {
    int depth, count;
    struct brgemm_segment *segment;
};

struct task {
    int group, ib, ob, ibs, obs; /* first blocks, and how many */
};

/* Output rows y0 <= y < y1, a strip's, of some images. */
struct unit {
    int image, images, y0, y1;
};

static struct task task_at(const struct gradient *g, long n)
{
    const int ib = (int)(n % g->ic_tasks) * g->ibs, ob = (int)(n / g->ic_tasks % g->oc_tasks) * g->obs;
    const int ibs = g->native.src.blocks - ib, obs = g->native.dst.blocks - ob;
    return (struct task){(int)(n / g->ic_tasks / g->oc_tasks), ib, ob, ibs < g->ibs ? ibs : g->ibs,
                         obs < g->obs ? obs : g->obs};
}

static struct unit unit_at(const struct gradient *g, long n)
{
    const int strips = (g->y.n + g->strip.rows - 1) / g->strip.rows, mb = g->native.problem.mb;
    const int image = (int)(n / strips) * g->together, y0 = (int)(n % strips) * g->strip.rows;
    return (struct unit){image, mb - image < g->together ? mb - image : g->together, y0,
                         y0 + g->strip.rows < g->y.n ? y0 + g->strip.rows : g->y.n};
}

/* Floats from an image to the next. */
static ptrdiff_t image_floats(const struct gradient *g, const struct activation *a)
{
    return (ptrdiff_t)a->blocks * a->h * a->w * a->block * g->native.problem.g;
}

/* Block `block` of a group in a unit's first image. */
static const float *unit_block(const struct gradient *g, const struct activation *a, const float *tensor,
                               const struct unit *unit, int group, int block)
{
    return tensor + unit->image * image_floats(g, a) +
           ((ptrdiff_t)group * a->blocks + block) * a->h * a->w * a->block;
}

/* Rows first <= y < last, as far as they are inside, of `blocks` blocks from `block` on, in `images` images that are
 * `image` floats apart. */
static struct ahead rows_ahead(const struct activation *a, const float *block, int blocks, int images,
                               ptrdiff_t image, int first, int last)
{
    const ptrdiff_t row = (ptrdiff_t)a->w * a->block;
    first = first < 0 ? 0 : first;
    last = last > a->h ? a->h : last;
    if (first >= last)
        return (struct ahead){0};
    struct ahead ahead = {.at = block + first * row,
                          .block = a->h * row,
                          .image = image,
                          .piece = (last - first) * row,
                          .blocks = blocks,
                          .images = images};
    if (ahead.piece == ahead.block) { /* whole blocks follow each other */
        ahead.piece *= blocks;
        ahead.blocks = 1;
    }
    return ahead;
}

/* What unit `n`, the next one, will read: its pixels come from level 3 or memory, and a strip of a block is too short for
 * the hardware's prefetchers. 1x1 gradients gained 2 to 14 % from it on Zen 3, 6 % in the mean. */
static void open_ahead(const struct gradient *g, long n, float *const tensor[CONV_TENSORS],
                       struct ahead ahead[2])
{
    const struct task task = task_at(g, n / g->units);
    const struct unit unit = unit_at(g, n % g->units);
    const struct activation *src = &g->native.src, *dst = &g->native.dst;
    ahead[0] = rows_ahead(src, unit_block(g, src, tensor[CONV_SRC], &unit, task.group, task.ib), task.ibs,
                          unit.images, image_floats(g, src), unit.y0 * g->y.in_step + g->y.tap[0].in,
                          (unit.y1 - 1) * g->y.in_step + g->y.tap[g->y.taps - 1].in + 1);
    ahead[1] = rows_ahead(dst, unit_block(g, dst, tensor[CONV_DST], &unit, task.group, task.ob), task.obs,
                          unit.images, image_floats(g, dst), unit.y0, unit.y1);
}

/* Which segments tap ty reduces over: a unit's rows, as far as they are inside. */
static void reduce_rows(const struct gradient *g, int ty, const struct unit *unit, ptrdiff_t a_image,
                        struct reduction *r)
{
    const struct activation *dst = &g->native.dst;
    const ptrdiff_t b_image = image_floats(g, dst);
    int first = unit->y0, last = unit->y1;
    while (first < last && first * g->y.in_step + g->y.tap[ty].in < 0)
        first++;
    while (last > first && (last - 1) * g->y.in_step + g->y.tap[ty].in >= g->native.src.h)
        last--;
    const int step = g->strip.merged ? last - first : 1;
    r->depth = step * g->x.n;
    r->count = 0;
    for (int image = 0; image < unit->images; image++)
        for (int y = first; y < last; y += step)
            r->segment[r->count++] =
                (struct brgemm_segment){image * a_image + (y - unit->y0) * g->strip.row,
                                        image * b_image + ((ptrdiff_t)y * dst->w) * dst->block};
}

/* Zeroes what no channels have of a block of dw: in each tap the rows from `rows` on, and the second half of the others. */
static void clear_rest(const struct gradient *g, float *dw, int rows, bool half)
{
    const int taps = g->native.problem.kh * g->native.problem.kw, block = g->native.block;
    for (int tap = 0; tap < taps; tap++, dw += block * B) {
        memset(dw + rows * B, 0, sizeof *dw * (size_t)(block - rows) * B);
        for (int row = 0; row < rows && half; row++)
            memset(dw + row * B + B / 2, 0, B / 2 * sizeof *dw);
    }
}

/* Adds a group of strips to the task's block of dw, or writes it: block (o, i) begins at dw + o * oc_pitch + i * wei block. */
static void add_unit(const struct gradient *g, const struct task *task, const struct reduction *r,
                     const float *a, const float *b, float *dw, ptrdiff_t oc_pitch, bool accumulate,
                     struct ahead ahead[2])
{
    const struct conv_problem *q = &g->native.problem;
    const struct activation *src = &g->native.src, *dst = &g->native.dst;
    const int vlen = g->kernel->vlen, width = g->kernel->tall.vectors * vlen / B;
    const int columns = g->fused ? 1 : g->x.taps, panels = (task->obs + width - 1) / width;
    const ptrdiff_t plane = (ptrdiff_t)dst->h * dst->w * B;
    struct brgemm_shape s = {.a_row = 1,
                             .a_k = g->strip.pixel,
                             .b_block = plane,
                             .c_row = B,
                             .c_block = oc_pitch,
                             .accumulate = accumulate};
    for (int n = 0; n < task->ibs * panels; n++) {
        const int i = g->in_order ? n % task->ibs : n / panels,
                  o = width * (g->in_order ? n / task->ibs : n % panels);
        const int outs = task->obs - o < width ? task->obs - o : width;
        const bool half = g->half && task->ob + o + outs == dst->blocks;
        float *block = dw + o * oc_pitch + i * (ptrdiff_t)native_weight_block(&g->native);
        s.rows = task->ib + i == src->blocks - 1 ? g->last : g->rows;
        s.vectors = outs * B / vlen - half;
        for (int tx = 0; tx < columns; tx++)
            for (int ty = 0; ty < g->y.taps; ty++) {
                s.depth = r[ty].depth;
                s.ahead = ahead_take(&ahead[0], &s, r[ty].count, g->kernel->tall.rows);
                if (!s.ahead.at)
                    s.ahead = ahead_take(&ahead[1], &s, r[ty].count, g->kernel->tall.rows);
                g->kernel->run(&s, r[ty].count, r[ty].segment,
                               a + i * g->strip.block + strip_tap(&g->strip, &g->y, &g->x, src, ty, tx),
                               b + o * plane,
                               block + (ptrdiff_t)(g->y.tap[ty].k * q->kw + g->x.tap[tx].k) * src->block * B);
            }
        for (int out = 0; out < outs && !accumulate && (s.rows < g->rows || half); out++)
            clear_rest(g, block + out * oc_pitch, s.rows < g->rows ? s.rows : src->block, half);
    }
}

/* Units [n, last), counted through all tasks and all of one, into its block of dw. The thread's last is end - 1. */
static void run_units(const struct gradient *g, long n, long last, long end,
                      float *const tensor[CONV_TENSORS], float *scratch, float *dw, ptrdiff_t oc_pitch)
{
    const struct task task = task_at(g, n / g->units);
    const struct activation *src = &g->native.src;
    struct activation part = *src; /* the input blocks of the task */
    part.blocks = task.ibs;
    struct reduction r[g->y.taps];
    for (int ty = 0; ty < g->y.taps; ty++)
        r[ty].segment = (struct brgemm_segment *)scratch + ty * g->segments;
    float *copies = scratch + g->y.taps * g->segments * sizeof(struct brgemm_segment) / sizeof(float);
    const long first = n;
    for (; n < last; n++) {
        const struct unit unit = unit_at(g, n % g->units);
        const float *image = unit_block(g, src, tensor[CONV_SRC], &unit, task.group, task.ib), *a = NULL;
        for (int i = unit.images - 1; i >= 0; i--)
            a = strip_open(&g->strip, &g->y, &g->x, &part, image + i * image_floats(g, src), unit.y0,
                           copies + i * g->copy_floats);
        for (int ty = 0; ty < g->y.taps; ty++)
            reduce_rows(g, ty, &unit,
                        g->strip.kind == DIRECT ? image_floats(g, src) : (ptrdiff_t)g->copy_floats, &r[ty]);
        phase_mark(PHASE_INPUT);
        struct ahead ahead[2] = {0};
        if (n + 1 < end)
            open_ahead(g, n + 1, tensor, ahead);
        add_unit(g, &task, r, a, unit_block(g, &g->native.dst, tensor[CONV_DST], &unit, task.group, task.ob),
                 dw, oc_pitch, n > first, ahead);
        phase_mark(PHASE_MULTIPLY);
    }
}

static float *task_weights(const struct gradient *g, const struct task *task, float *weights)
{
    const struct activation *src = &g->native.src, *dst = &g->native.dst;
    return weights + (((size_t)task->group * dst->blocks + task->ob) * src->blocks + task->ib) *
                         native_weight_block(&g->native);
}

/* Adds what thread t summed into its own block, where it began in the middle of a task. */
static void add_partial(const struct gradient *g, long begin, const float *partial, float *weights)
{
    const struct task task = task_at(g, begin / g->units);
    const size_t block = native_weight_block(&g->native);
    float *dw = task_weights(g, &task, weights);
#pragma omp for collapse(2)
    for (int o = 0; o < task.obs; o++)
        for (int i = 0; i < task.ibs; i++) {
            float *to = dw + ((size_t)o * g->native.src.blocks + i) * block;
            const float *from = partial + ((size_t)o * task.ibs + i) * block;
            for (size_t n = 0; n < block; n++)
                to[n] += from[n];
        }
}

static void run(const void *state, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct gradient *g = state;
    const ptrdiff_t block = (ptrdiff_t)native_weight_block(&g->native);
    const size_t own = g->scratch_floats - g->task_floats; /* of a thread, then its block of dw */
    float *weights = tensor[CONV_WEI];
#pragma omp parallel num_threads(g->threads)
    {
        const int t = omp_get_thread_num(), threads = omp_get_num_threads();
        const long total = g->tasks * g->units, end = total * (t + 1) / threads;
        float *mine = scratch + t * g->scratch_floats;
        for (long at = total * t / threads, next; at < end; at = next) {
            const long first = at % g->units, left = g->units - first;
            next = at + (left < end - at ? left : end - at);
            const struct task task = task_at(g, at / g->units);
            if (first == 0)
                run_units(g, at, next, end, tensor, mine, task_weights(g, &task, weights),
                          g->native.src.blocks * block);
            else
                run_units(g, at, next, end, tensor, mine, mine + own, task.ibs * block);
        }
#pragma omp barrier
        phase_mark(PHASE_MULTIPLY);
        for (int other = 1; other < threads; other++) {
            const long begin = total * other / threads;
            if (begin % g->units && begin < total * (other + 1) / threads)
                add_partial(g, begin, scratch + other * g->scratch_floats + own, weights);
            phase_mark(PHASE_REDUCE);
        }
    }
    native_mask(&g->native, weights, g->threads);
    phase_mark(PHASE_OUTPUT);
}

static void destroy(void *state)
{
    struct gradient *g = state;
    free(g->y.tap);
    free(g->x.tap);
    free(g);
}

/* Pixels that one call reduces over. */
static int call_pixels(void)
{
    const int caches = (int)(cache_bytes() / PIXELS_CACHE);
    return caches > 1 ? caches * PIXELS : PIXELS;
}

/* Halves a task. More output than input blocks, because the copied strips of the input are read once for every output
 * block. False: it is as small as can be. */
static bool task_halve(struct gradient *g)
{
    const int width = g->kernel->tall.vectors * g->kernel->vlen / B;
    if (g->obs > width && (g->ibs == 1 || 2 * g->ibs <= g->obs))
        g->obs = (g->obs / 2 + width - 1) / width * width;
    else if (g->ibs > 1)
        g->ibs = (g->ibs + 1) / 2;
    else
        return false;
    return true;
}

static void count_tasks(struct gradient *g)
{
    const struct native *n = &g->native;
    g->ic_tasks = (n->src.blocks + g->ibs - 1) / g->ibs;
    g->oc_tasks = (n->dst.blocks + g->obs - 1) / g->obs;
    g->tasks = (long)n->problem.g * g->ic_tasks * g->oc_tasks;
    g->task_floats = (size_t)g->obs * g->ibs * native_weight_block(n);
}

/* Blocks of dw of a task: all, or halves of them until they fit half of the level-2 cache; and, where a task is one unit,
 * until every thread has one. */
static void cut_tasks(struct gradient *g)
{
    const struct conv_problem *q = &g->native.problem;
    const bool one_unit = (long)q->mb * q->oh * q->ow <= call_pixels();
    g->obs = g->native.dst.blocks;
    g->ibs = g->native.src.blocks;
    count_tasks(g);
    while ((sizeof(float) * g->task_floats > cache_bytes() / 2 || (one_unit && g->tasks < g->threads)) &&
           task_halve(g))
        count_tasks(g);
}

static void cut_units(struct gradient *g)
{
    const struct conv_problem *q = &g->native.problem;
    struct activation part = g->native.src;
    part.blocks = g->ibs;
    const long all = (long)q->mb * q->oh * q->ow, most = all > LEAST_PIXELS ? all / LEAST_PIXELS : 1;
    const long wanted = (g->threads + g->tasks - 1) / g->tasks; /* units that a task should have */
    const long shares = wanted < most ? wanted : most;
    const int pixels = call_pixels(), whole = q->ow < pixels ? pixels / q->ow : 1;
    const int least = (int)((shares + q->mb - 1) / q->mb), shared = (q->oh + least - 1) / least;
    g->strip = strip_make(&g->y, &g->x, &part, true, false, shared < whole ? shared : whole);
    const int strips = (q->oh + g->strip.rows - 1) / g->strip.rows;
    g->fused = g->strip.kind != NARROW;
    for (int t = 1; t < g->x.taps; t++)
        g->fused = g->fused && g->x.tap[t].in == g->x.tap[0].in + t;
    const int ic = q->ic / q->g % part.block, oc = q->oc / q->g % B;
    g->rows = g->fused ? g->x.taps * part.block : part.block;
    g->last = g->rows == part.block && ic > 0 ? ic : g->rows;
    g->half = g->kernel->vlen == B / 2 && oc > 0 && oc <= B / 2;
    g->together = strips > 1 ? 1 : (int)(pixels / ((long)q->oh * q->ow));
    const long images = q->mb / shares;
    if (g->together > images)
        g->together = (int)images;
    g->together = g->together < 1 ? 1 : g->together;
    g->units = (long)strips * ((q->mb + g->together - 1) / g->together);
    /* What is written once or twice had best be one stream: 512 of 2048 channels at 7x7 gained 3 to 30 % at batch 1, where
     * steps of 128 KB share sets of the caches. More units lost 1 to 2 %; copies of an input block have to be used up. */
    g->in_order = g->strip.kind == DIRECT && g->units <= 2;
    g->copy_floats = g->strip.floats;
    g->segments = (size_t)g->together * g->strip.rows;
    g->scratch_floats = g->y.taps * g->segments * sizeof(struct brgemm_segment) / sizeof(float) +
                        g->together * g->copy_floats + g->task_floats;
    g->scratch_floats = (g->scratch_floats + B - 1) / B * B; /* every thread's begins on a cache line */
}

static const char *plan(struct conv_plan *plan, const struct native *native, void **state)
{
    struct gradient *g = calloc(1, sizeof *g);
    if (!g)
        return "out of memory";
    g->native = *native;
    g->kernel = brgemm_kernel(plan->isa);
    g->threads = plan->threads;
    const struct conv_problem *q = &native->problem;
    const struct extent h = {q->ih, q->oh, q->kh, q->sh, q->ph, q->dh + 1};
    const struct extent w = {q->iw, q->ow, q->kw, q->sw, q->pw, q->dw + 1};
    if (!axis_make(&g->y, &h, CONV_WEI, 0) || !axis_make(&g->x, &w, CONV_WEI, 0)) {
        destroy(g);
        return "out of memory";
    }
    cut_tasks(g);
    cut_units(g);
    plan->scratch_bytes = sizeof(float) * g->scratch_floats * (size_t)g->threads;
    static const char *const kinds[] = {"direct", "wide", "narrow"};
    snprintf(plan->detail, sizeof plan->detail, "brgemm %s strips of %d rows, %ld tasks",
             kinds[g->strip.kind], g->strip.rows, g->tasks);
    *state = g;
    return NULL;
}

const struct engine gradient_engine = {plan, run, destroy};
