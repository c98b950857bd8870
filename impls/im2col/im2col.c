/* im2col with our own matrix product: blocks of Q (columns.h) are built where they are needed and stay in the
 * cache, so that Q as a whole never exists. After Chellapilla, Puri and Simard (2006), who unrolled convolution.
 *
 * Each pass walks over chunks of output pixels x, and within a chunk over blocks of input channels, whose taps
 * are rows k of Q. Q, D and their products stand in panels of 16 columns, as the register kernel has them fastest;
 * only W, and W^T in bwd, are row-major:
 *
 *     fwd   D[oc][x] += W[oc][k] Q[k][x]          gather a block of Q, multiply, copy D to dst at the end
 *     bwd   Q[k][x]   = W^T[k][oc] D[oc][x]       copy D from dst, multiply, add the block of Q to src
 *     upd   W^T[k][oc] += Q[k][x] D^T[x][oc]      gather both, multiply, transpose W^T to wei at the end
 *
 * (D is itself the Q of a 1x1 layer on dst, and is gathered as such.)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"
#include "im2col/product.h"
#include "im2col/range.h"
#include "phase.h"
#include "size.h"

#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
    struct conv_problem p;
    struct conv_problem point; /* the 1x1 layer on dst */
    const struct brgemm_kernel *kernel;
    const struct columns_kernel *columns;
    int icg, ocg, taps;
    size_t k;         /* rows of a group's Q: icg * taps */
    size_t pixels;    /* columns of Q: mb * oh * ow */
    int channels;     /* input channels in a block of Q */
    size_t chunk;     /* pixels in a block of Q */
    size_t oc_stride; /* from row to row of W^T in bwd */
    /* The work is cut into outer * g * inner parts: by pixels or images, by groups, by channels of a group. */
    int outer, inner;
    size_t shared, own; /* floats of scratch: of the team, of each thread */
};

enum { PANEL = COLUMNS_PANEL };

/* ---- blocks of dst ---- */

/* Pixels x of an image and its `count` channels from oc on, between dst and a block of D. */
static void store_dst(const struct state *s, size_t oc, size_t count, struct range x, float *dst,
                      const float *d)
{
    const size_t plane = (size_t)s->p.oh * s->p.ow;
    for (size_t c = 0; c < count; c++)
        for (size_t at = x.begin, n; at < x.end; at += n) {
            const size_t i = at - x.begin;
            float *to = dst + (at / plane * s->p.oc + oc + c) * plane + at % plane;
            n = min(min(x.end - at, plane - at % plane), PANEL - i % PANEL);
            const float *from = d + (i / PANEL * count + c) * PANEL + i % PANEL;
            if (n == PANEL)
                memcpy(to, from, PANEL * sizeof(float)); /* of constant size: a few vectors */
            else
                memcpy(to, from, n * sizeof(float));
        }
    phase_mark(PHASE_OUTPUT);
}

static void load_dst(const struct state *s, int g, struct range x, const float *dst, float *d)
{
    const struct columns_block block = {g * s->ocg, s->ocg, x.begin, x.end - x.begin, PANEL};
    s->columns->gather(&s->point, &block, dst, d);
    phase_mark(PHASE_INPUT);
}

/* D^T, image by image, whose pixels are contiguous. */
static void load_dst_transposed(const struct state *s, int g, struct range x, const float *dst, float *d)
{
    const size_t plane = (size_t)s->p.oh * s->p.ow, panel = s->chunk * PANEL, ocg = s->ocg;
    for (size_t at = x.begin, run; at < x.end; at += run) {
        const float *image = dst + (at / plane * s->p.oc + g * ocg) * plane + at % plane;
        run = min(x.end - at, plane - at % plane);
        for (size_t oc = 0; oc < ocg; oc += PANEL)
            s->columns->transpose(min(PANEL, ocg - oc), run, image + oc * plane, plane,
                                  d + oc / PANEL * panel + (at - x.begin) * PANEL, PANEL);
    }
    const size_t count = x.end - x.begin, rest = size_round_up(count, PANEL) - count;
    for (size_t oc = 0; oc < ocg; oc += PANEL)
        memset(d + oc / PANEL * panel + count * PANEL, 0, rest * PANEL * sizeof(float));
    phase_mark(PHASE_INPUT);
}

/* ---- the passes ---- */

/* A part of the work: a range of pixels or images, a group, a range of the group's channels. */
struct part {
    size_t outer, inner;
    int g;
};

static struct part part_of(const struct state *s, size_t item)
{
    return (struct part){item / s->inner / s->p.g, item % s->inner, (int)(item / s->inner % s->p.g)};
}

/* The block of Q of group g, its channels from c on, and pixels x. */
static struct columns_block block_of(const struct state *s, int g, struct range c, struct range x)
{
    return (struct columns_block){g * s->icg + (int)c.begin, (int)(c.end - c.begin), x.begin, x.end - x.begin,
                                  PANEL};
}

static void forward(const struct state *s, struct part at, float *const tensor[CONV_TENSORS], float *own)
{
    float *q = own, *d = own + s->channels * s->taps * s->chunk;
    const struct range x = range_part(s->pixels, PANEL, s->outer, at.outer);
    const struct range oc = range_part(s->ocg, 1, s->inner, at.inner);
    const size_t count = oc.end - oc.begin;
    const float *wei = tensor[CONV_WEI] + (at.g * s->ocg + oc.begin) * s->k;
    for (size_t c = 0; c < (size_t)s->icg; c += s->channels) {
        struct range channels = {c, min(c + s->channels, s->icg)};
        struct columns_block block = block_of(s, at.g, channels, x);
        const size_t rows = (size_t)block.channels * s->taps;
        s->columns->gather(&s->p, &block, tensor[CONV_SRC], q);
        phase_mark(PHASE_INPUT);
        product_run(s->kernel, &(struct product){.rows = count,
                                                 .cols = block.pixels,
                                                 .depth = rows,
                                                 .a = wei + c * s->taps,
                                                 .a_row = s->k,
                                                 .b = q,
                                                 .b_panel = rows * PANEL,
                                                 .c = d,
                                                 .c_panel = count * PANEL,
                                                 .accumulate = c > 0});
        phase_mark(PHASE_MULTIPLY);
    }
    store_dst(s, at.g * s->ocg + oc.begin, count, x, tensor[CONV_DST], d);
}

/* W^T of all groups: shared[g][k][oc] */
static void transpose_weights(const struct state *s, const float *wei, float *shared)
{
    const size_t blocks = (s->icg + s->channels - 1) / s->channels;
#pragma omp for
    for (size_t i = 0; i < s->p.g * blocks; i++) {
        const size_t g = i / blocks, k = i % blocks * s->channels * s->taps;
        const size_t rows = min((size_t)s->channels * s->taps, s->k - k);
        s->columns->transpose(s->ocg, rows, wei + g * s->ocg * s->k + k, s->k,
                              shared + (g * s->k + k) * s->oc_stride, s->oc_stride);
    }
    phase_mark(PHASE_WEIGHTS);
}

static void backward(const struct state *s, struct part at, float *const tensor[CONV_TENSORS], float *own,
                     const float *shared)
{
    float *q = own, *d = own + s->channels * s->taps * s->chunk;
    const size_t plane = (size_t)s->p.oh * s->p.ow, src_plane = (size_t)s->p.ih * s->p.iw;
    const struct range images = range_part(s->p.mb, 1, s->outer, at.outer);
    const struct range mine = range_part(s->icg, 1, s->inner, at.inner);
    for (size_t mb = images.begin; mb < images.end; mb++)
        memset(tensor[CONV_SRC] + (mb * s->p.ic + at.g * s->icg + mine.begin) * src_plane, 0,
               (mine.end - mine.begin) * src_plane * sizeof(float));
    for (size_t begin = images.begin * plane; begin < images.end * plane; begin += s->chunk) {
        const struct range x = {begin, min(begin + s->chunk, images.end * plane)};
        load_dst(s, at.g, x, tensor[CONV_DST], d);
        for (size_t c = mine.begin; c < mine.end; c += s->channels) {
            struct range channels = {c, min(c + s->channels, mine.end)};
            struct columns_block block = block_of(s, at.g, channels, x);
            const size_t rows = (size_t)block.channels * s->taps;
            product_run(s->kernel, &(struct product){.rows = rows,
                                                     .cols = block.pixels,
                                                     .depth = s->ocg,
                                                     .a = shared + (at.g * s->k + c * s->taps) * s->oc_stride,
                                                     .a_row = s->oc_stride,
                                                     .b = d,
                                                     .b_panel = (size_t)s->ocg * PANEL,
                                                     .c = q,
                                                     .c_panel = rows * PANEL});
            phase_mark(PHASE_MULTIPLY);
            s->columns->scatter(&s->p, &block, q, tensor[CONV_SRC]);
            phase_mark(PHASE_OUTPUT);
        }
    }
}

/* Sums over its own range of pixels: shared[outer][g], of each group W^T[k][oc] in panels */
static void gradient(const struct state *s, struct part at, float *const tensor[CONV_TENSORS], float *own,
                     float *shared)
{
    float *q = own, *d = own + s->channels * s->taps * s->chunk;
    const struct range mine = range_part(s->icg, 1, s->inner, at.inner);
    const struct range pixels = range_part(s->pixels, s->chunk, s->outer, at.outer);
    float *sum = shared + (at.outer * s->p.g + at.g) * s->k * size_round_up(s->ocg, PANEL);
    for (size_t begin = pixels.begin; begin < pixels.end; begin += s->chunk) {
        const struct range x = {begin, min(begin + s->chunk, pixels.end)};
        load_dst_transposed(s, at.g, x, tensor[CONV_DST], d);
        for (size_t c = mine.begin; c < mine.end; c += s->channels) {
            struct range channels = {c, min(c + s->channels, mine.end)};
            struct columns_block block = block_of(s, at.g, channels, x);
            const size_t rows = (size_t)block.channels * s->taps;
            s->columns->gather(&s->p, &block, tensor[CONV_SRC], q);
            phase_mark(PHASE_INPUT);
            product_run(s->kernel, &(struct product){.rows = rows,
                                                     .cols = s->ocg,
                                                     .depth = block.pixels,
                                                     .a = q,
                                                     .a_row = PANEL,
                                                     .a_panel = rows * PANEL,
                                                     .b = d,
                                                     .b_panel = s->chunk * PANEL,
                                                     .c = sum + c * s->taps * PANEL,
                                                     .c_panel = s->k * PANEL,
                                                     .accumulate = begin > pixels.begin});
            phase_mark(PHASE_MULTIPLY);
        }
    }
}

/* wei = the sums of all ranges of pixels, transposed */
static void reduce(const struct state *s, float *wei, float *shared)
{
    const size_t panels = (s->ocg + PANEL - 1) / PANEL, floats = s->p.g * panels * s->k * PANEL;
#pragma omp for
    for (size_t i = 0; i < s->p.g * panels; i++) {
        const size_t g = i / panels, oc = i % panels * PANEL;
        float *sum = shared + i * s->k * PANEL;
        for (int o = 1; o < s->outer; o++)
            for (size_t j = 0; j < s->k * PANEL; j++)
                sum[j] += sum[o * floats + j];
        s->columns->transpose(s->k, min(PANEL, s->ocg - oc), sum, PANEL, wei + (g * s->ocg + oc) * s->k,
                              s->k);
    }
    phase_mark(PHASE_REDUCE);
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct state *s = plan->state;
    const size_t parts = (size_t)s->outer * s->p.g * s->inner;
    float *shared = scratch;
#pragma omp parallel num_threads(plan->threads)
    {
        float *own = shared + s->shared + omp_get_thread_num() * s->own;
        if (plan->output == CONV_SRC)
            transpose_weights(s, tensor[CONV_WEI], shared);
#pragma omp for schedule(static)
        for (size_t i = 0; i < parts; i++) {
            const struct part at = part_of(s, i);
            switch (plan->output) {
            case CONV_DST: forward(s, at, tensor, own); break;
            case CONV_SRC: backward(s, at, tensor, own, shared); break;
            default: gradient(s, at, tensor, own, shared); break;
            }
        }
        phase_mark(PHASE_MULTIPLY);
        if (plan->output == CONV_WEI)
            reduce(s, tensor[CONV_WEI], shared);
    }
}

/* ---- the plan ---- */

static size_t l2_bytes(void)
{
    long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (size_t)bytes : 512 << 10; /* unknown: what most cores have at least */
}

static int gcd(int a, int b)
{
    return b ? gcd(b, a % b) : a;
}

/* Blocks: half of the second level holds the blocks of Q and D, the rest is for A. Q has about as many rows as are done at
 * once: more, with fewer pixels, lost up to 7 % at 512 channels (measured). As many channels as the register kernel unrolls,
 * where there are so many. An odd number of lines from row to row spreads a column over all sets of a cache. */
static void plan_blocks(struct state *s)
{
    enum { UNROLLED = 8, OUTPUTS = 320, PIXELS = 256 };
    const size_t blocks = (s->k + PRODUCT_DEPTH - 1) / PRODUCT_DEPTH;
    s->channels = (int)min(size_round_up((s->icg + blocks - 1) / blocks, UNROLLED), s->icg);
    const size_t rows = (size_t)s->channels * s->taps + min(s->ocg, OUTPUTS),
                 width = s->kernel->wide.vectors * s->kernel->vlen;
    size_t chunk = l2_bytes() / 2 / sizeof(float) / rows / width * width;
    if (chunk < 2 * width)
        chunk = 2 * width;
    s->chunk = min(min(chunk, PIXELS), size_round_up(s->pixels, width));
    s->oc_stride = (size_round_up(s->ocg, PANEL) / PANEL | 1) * PANEL;
}

/* Forward cuts the pixels into chunks, backward the images (each added to by one thread only), the gradient the
 * pixels again if a copy of the weights for each range is cheap. What is missing to the number of threads, or to a
 * multiple of it, is cut from the channels. */
static void plan_parts(struct state *s, enum conv_tensor output, int threads)
{
    const size_t chunks = (s->pixels + s->chunk - 1) / s->chunk;
    size_t outer = 1;
    switch (output) {
    case CONV_DST:
        outer = size_round_up(chunks, threads / gcd(threads, s->p.g));
        outer = min(outer, (s->pixels + PANEL - 1) / PANEL);
        break;
    case CONV_SRC: outer = gcd(s->p.mb, threads); break;
    default:
        if (s->k * s->oc_stride * sizeof(float) <= l2_bytes() / 2)
            outer = min(threads / gcd(threads, s->p.g), chunks);
        break;
    }
    const int channels = output == CONV_DST ? s->ocg : s->icg;
    s->outer = (int)outer;
    s->inner =
        outer * s->p.g >= (size_t)threads ? 1 : (int)min((threads - 1) / (outer * s->p.g) + 1, channels);
}

static const char *refuse(const struct conv_problem *p, enum conv_tensor output)
{
    (void)output;
    return (size_t)p->kh * p->kw > INT_MAX ? "the kernel has too many taps" : NULL;
}

static const char *plan(struct conv_plan *plan)
{
    struct state s = {
        .p = plan->problem, .kernel = brgemm_kernel(plan->isa), .columns = columns_kernel(plan->isa)};
    s.icg = s.p.ic / s.p.g;
    s.ocg = s.p.oc / s.p.g;
    s.taps = s.p.kh * s.p.kw;
    s.k = (size_t)s.icg * s.taps;
    s.pixels = (size_t)s.p.mb * s.p.oh * s.p.ow;
    s.point = (struct conv_problem){.mb = s.p.mb,
                                    .ic = s.p.oc,
                                    .ih = s.p.oh,
                                    .iw = s.p.ow,
                                    .oh = s.p.oh,
                                    .ow = s.p.ow,
                                    .kh = 1,
                                    .kw = 1,
                                    .sh = 1,
                                    .sw = 1};
    plan_blocks(&s);
    plan_parts(&s, plan->output, plan->threads);
    const size_t ocg = size_round_up(s.ocg, PANEL), k = (size_t)s.p.g * s.k;
    s.shared = plan->output == CONV_DST   ? 0
               : plan->output == CONV_SRC ? size_multiply(k, s.oc_stride)
                                          : size_multiply(size_multiply(k, ocg), s.outer);
    const size_t q = (size_t)s.channels * s.taps;
    s.own = size_multiply(size_add(q, ocg), s.chunk);
    plan->scratch_bytes =
        size_multiply(size_add(s.shared, size_multiply(s.own, plan->threads)), sizeof(float));
    if (plan->scratch_bytes == SIZE_MAX)
        return "its blocks are too large to count";
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    snprintf(plan->detail, sizeof plan->detail, "%s %dx%d, blocks of %zu x %zu", isa_name(plan->isa),
             s.kernel->wide.rows, s.kernel->wide.vectors * s.kernel->vlen, (size_t)s.channels * s.taps,
             s.chunk);
    plan->state = malloc(sizeof s);
    if (!plan->state)
        return "out of memory";
    memcpy(plan->state, &s, sizeof s);
    return NULL;
}

static void destroy(struct conv_plan *plan)
{
    free(plan->state);
}

const struct conv_impl im2col_impl = {
    .name = "im2col",
    .family = "im2col",
    .summary = "blocks of Q built in the cache, own matrix product",
    .source = "Chellapilla et al. 2006; Goto and van de Geijn 2008",
    .exact = true,
    .refuse = refuse,
    .plan = plan,
    .run = run,
    .destroy = destroy,
};
