/* im2col with our own matrix product: blocks of Q (columns.h) are built where they are needed and stay in the
 * cache, so that Q as a whole never exists. After Chellapilla, Puri and Simard (2006), who unrolled convolution,
 * with the blocking of Goto and van de Geijn (ACM TOMS 34(3), 2008).
 *
 * Each pass walks over chunks of output pixels x, and within a chunk over blocks of input channels, whose taps
 * are rows k of Q. All operands of the register kernel are row-major with the reduction contiguous in A:
 *
 *     fwd   D[oc][x] += W[oc][k] Q[k][x]          gather a block of Q, multiply, copy D to dst at the end
 *     bwd   Q[k][x]   = W^T[k][oc] D[oc][x]       copy D from dst, multiply, add the block of Q to src
 *     upd   W^T[k][oc] += Q[k][x] D^T[x][oc]      gather both, multiply, transpose W^T to wei at the end
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"
#include "kernels/brgemm.h"
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
    const struct brgemm_kernel *kernel;
    const struct columns_kernel *columns;
    int icg, ocg, taps;
    size_t k;         /* rows of a group's Q: icg * taps */
    size_t pixels;    /* columns of Q: mb * oh * ow */
    int channels;     /* input channels in a block of Q */
    size_t chunk;     /* pixels in a block of Q */
    size_t stride;    /* from row to row of blocks of Q and D */
    size_t oc_stride; /* the same for W^T and D^T */
    /* The work is cut into outer * g * inner parts: by pixels or images, by groups, by channels of a group. */
    int outer, inner;
    size_t shared, own; /* floats of scratch: of the team, of each thread */
};

/* Part `i` of `parts` nearly equal parts of n things, cut at multiples of `unit`. */
struct range {
    size_t begin, end;
};

static struct range part(size_t n, size_t unit, size_t parts, size_t i)
{
    size_t units = (n + unit - 1) / unit;
    struct range r = {units * i / parts * unit, units * (i + 1) / parts * unit};
    return (struct range){r.begin < n ? r.begin : n, r.end < n ? r.end : n};
}

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- the matrix product ---- */

struct matrix {
    const float *at;
    size_t stride;
};

/* C[rows][cols] (+)= A[rows][depth] B[depth][cols]. Whole vectors of B and C are read and written, into the padding of
 * their rows. A block of rows of A stays in the second-level cache while all panels of B pass by. */
static void multiply(const struct state *s, size_t rows, size_t cols, size_t depth, struct matrix a,
                     struct matrix b, float *c, size_t c_stride, bool accumulate)
{
    enum { A_BYTES = 128 << 10 };
    const size_t vlen = s->kernel->vlen, width = s->kernel->tall.vectors * vlen;
    const size_t block =
        min(rows, size_round_up(A_BYTES / sizeof(float) / (depth + 1) + 1, s->kernel->tall.rows));
    const size_t blocks = (rows + block - 1) / block;
    struct brgemm_shape shape = {.depth = (int)depth,
                                 .a_row = a.stride,
                                 .a_k = 1,
                                 .b_k = b.stride,
                                 .b_block = BRGEMM_BLOCK,
                                 .c_row = c_stride,
                                 .c_block = BRGEMM_BLOCK,
                                 .accumulate = accumulate};
    const struct brgemm_segment whole = {0, 0};
    for (size_t i = 0; i < blocks; i++) {
        struct range r = part(rows, s->kernel->tall.rows, blocks, i);
        shape.rows = (int)(r.end - r.begin);
        for (size_t col = 0; col < cols; col += width) {
            shape.vectors = (int)min(s->kernel->tall.vectors, (cols - col + vlen - 1) / vlen);
            s->kernel->run(&shape, 1, &whole, a.at + r.begin * a.stride, b.at + col,
                           c + r.begin * c_stride + col);
        }
    }
    phase_mark(PHASE_MULTIPLY);
}

/* ---- blocks of dst ---- */

enum move { TO_DST, FROM_DST, FROM_DST_TRANSPOSED };

/* Moves `count` channels from channel oc on, pixels `x`, between dst and a block of D: image by image, whose
 * pixels are contiguous. */
static void move_dst(const struct state *s, enum move move, size_t oc, size_t count, struct range x,
                     float *dst, float *block)
{
    const size_t plane = (size_t)s->p.oh * s->p.ow;
    for (size_t at = x.begin; at < x.end;) {
        const size_t run = min(x.end - at, plane - at % plane);
        float *image = dst + (at / plane * s->p.oc + oc) * plane + at % plane;
        float *column = block + (at - x.begin);
        if (move == FROM_DST_TRANSPOSED)
            s->columns->transpose(count, run, image, plane, block + (at - x.begin) * s->oc_stride,
                                  s->oc_stride);
        else
            for (size_t c = 0; c < count; c++)
                if (move == TO_DST)
                    memcpy(image + c * plane, column + c * s->stride, run * sizeof(float));
                else
                    memcpy(column + c * s->stride, image + c * plane, run * sizeof(float));
        at += run;
    }
    phase_mark(move == TO_DST ? PHASE_OUTPUT : PHASE_INPUT);
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
                                  s->stride};
}

static void forward(const struct state *s, struct part at, float *const tensor[CONV_TENSORS], float *own)
{
    float *q = own, *d = own + s->channels * s->taps * s->stride;
    const struct range x = part(s->pixels, s->kernel->vlen, s->outer, at.outer);
    const struct range oc = part(s->ocg, 1, s->inner, at.inner);
    const float *wei = tensor[CONV_WEI] + (at.g * s->ocg + oc.begin) * s->k;
    for (size_t c = 0; c < (size_t)s->icg; c += s->channels) {
        struct range channels = {c, min(c + s->channels, s->icg)};
        struct columns_block block = block_of(s, at.g, channels, x);
        s->columns->gather(&s->p, &block, tensor[CONV_SRC], q);
        phase_mark(PHASE_INPUT);
        multiply(s, oc.end - oc.begin, x.end - x.begin, block.channels * s->taps,
                 (struct matrix){wei + c * s->taps, s->k}, (struct matrix){q, s->stride}, d, s->stride,
                 c > 0);
    }
    move_dst(s, TO_DST, at.g * s->ocg + oc.begin, oc.end - oc.begin, x, tensor[CONV_DST], d);
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
    enum { DEPTH = 256 };
    float *q = own, *d = own + s->channels * s->taps * s->stride;
    const size_t plane = (size_t)s->p.oh * s->p.ow, src_plane = (size_t)s->p.ih * s->p.iw;
    const struct range images = part(s->p.mb, 1, s->outer, at.outer);
    const struct range mine = part(s->icg, 1, s->inner, at.inner);
    const size_t depths = (s->ocg + DEPTH - 1) / DEPTH;
    for (size_t mb = images.begin; mb < images.end; mb++)
        memset(tensor[CONV_SRC] + (mb * s->p.ic + at.g * s->icg + mine.begin) * src_plane, 0,
               (mine.end - mine.begin) * src_plane * sizeof(float));
    for (size_t begin = images.begin * plane; begin < images.end * plane; begin += s->chunk) {
        const struct range x = {begin, min(begin + s->chunk, images.end * plane)};
        move_dst(s, FROM_DST, at.g * s->ocg, s->ocg, x, tensor[CONV_DST], d);
        for (size_t c = mine.begin; c < mine.end; c += s->channels) {
            struct range channels = {c, min(c + s->channels, mine.end)};
            struct columns_block block = block_of(s, at.g, channels, x);
            const float *wei = shared + (at.g * s->k + c * s->taps) * s->oc_stride;
            for (size_t i = 0; i < depths; i++) {
                struct range oc = part(s->ocg, 1, depths, i);
                multiply(s, block.channels * s->taps, x.end - x.begin, oc.end - oc.begin,
                         (struct matrix){wei + oc.begin, s->oc_stride},
                         (struct matrix){d + oc.begin * s->stride, s->stride}, q, s->stride, i > 0);
            }
            s->columns->scatter(&s->p, &block, q, tensor[CONV_SRC]);
            phase_mark(PHASE_OUTPUT);
        }
    }
}

/* Sums over its own range of pixels: shared[outer][g][k][oc] */
static void gradient(const struct state *s, struct part at, float *const tensor[CONV_TENSORS], float *own,
                     float *shared)
{
    float *q = own, *d = own + s->channels * s->taps * s->stride;
    const struct range mine = part(s->icg, 1, s->inner, at.inner);
    const struct range pixels = part(s->pixels, s->chunk, s->outer, at.outer);
    float *sum = shared + (at.outer * s->p.g + at.g) * s->k * s->oc_stride;
    for (size_t begin = pixels.begin; begin < pixels.end; begin += s->chunk) {
        const struct range x = {begin, min(begin + s->chunk, pixels.end)};
        move_dst(s, FROM_DST_TRANSPOSED, at.g * s->ocg, s->ocg, x, tensor[CONV_DST], d);
        for (size_t c = mine.begin; c < mine.end; c += s->channels) {
            struct range channels = {c, min(c + s->channels, mine.end)};
            struct columns_block block = block_of(s, at.g, channels, x);
            s->columns->gather(&s->p, &block, tensor[CONV_SRC], q);
            phase_mark(PHASE_INPUT);
            multiply(s, block.channels * s->taps, s->ocg, x.end - x.begin, (struct matrix){q, s->stride},
                     (struct matrix){d, s->oc_stride}, sum + c * s->taps * s->oc_stride, s->oc_stride,
                     begin > pixels.begin);
        }
    }
}

/* wei = the sums of all ranges of pixels, transposed */
static void reduce(const struct state *s, float *wei, float *shared)
{
    const size_t floats = s->p.g * s->k * s->oc_stride, blocks = (s->icg + s->channels - 1) / s->channels;
#pragma omp for
    for (size_t i = 0; i < s->p.g * blocks; i++) {
        const size_t g = i / blocks, k = i % blocks * s->channels * s->taps;
        const size_t rows = min((size_t)s->channels * s->taps, s->k - k);
        float *sum = shared + (g * s->k + k) * s->oc_stride;
        for (int o = 1; o < s->outer; o++)
            for (size_t j = 0; j < rows * s->oc_stride; j++)
                sum[j] += sum[o * floats + j];
        s->columns->transpose(rows, s->ocg, sum, s->oc_stride, wei + g * s->ocg * s->k + k, s->k);
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

/* Blocks: 320 rows of a panel of B, 16 floats wide, are 20 KB of a first-level cache of 32 KB; half of the second
 * level holds the blocks of Q and D, the rest is for A. An odd number of lines from row to row spreads a
 * column over all sets of a cache. */
static void plan_blocks(struct state *s)
{
    enum { ROWS = 320, LINE = 16 };
    const size_t blocks = (s->k + ROWS - 1) / ROWS;
    s->channels = (int)((s->icg + blocks - 1) / blocks);
    const size_t rows = (size_t)s->channels * s->taps + min(s->ocg, ROWS),
                 width = s->kernel->tall.vectors * s->kernel->vlen;
    size_t chunk = l2_bytes() / 2 / sizeof(float) / rows / width * width;
    if (chunk < 2 * width)
        chunk = 2 * width;
    s->chunk = min(min(chunk, 256), size_round_up(s->pixels, width));
    s->stride = (s->chunk / LINE | 1) * LINE;
    if (s->stride < s->chunk + LINE && s->chunk % (2 * LINE) != LINE)
        s->stride = s->chunk + LINE;
    s->oc_stride = (size_round_up(s->ocg, width) / LINE | 1) * LINE;
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
        outer = min(outer, (s->pixels + s->kernel->vlen - 1) / s->kernel->vlen);
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
    plan_blocks(&s);
    plan_parts(&s, plan->output, plan->threads);
    const size_t weights = size_multiply((size_t)s.p.g * s.k, s.oc_stride);
    s.shared = plan->output == CONV_DST   ? 0
               : plan->output == CONV_SRC ? weights
                                          : size_multiply(weights, s.outer);
    const size_t q = size_multiply((size_t)s.channels * s.taps, s.stride);
    const size_t d =
        plan->output == CONV_WEI ? size_multiply(s.chunk, s.oc_stride) : size_multiply(s.ocg, s.stride);
    s.own = size_add(q, d);
    plan->scratch_bytes =
        size_multiply(size_add(s.shared, size_multiply(s.own, plan->threads)), sizeof(float));
    if (plan->scratch_bytes == SIZE_MAX)
        return "its blocks are too large to count";
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    snprintf(plan->detail, sizeof plan->detail, "%s %dx%d, blocks of %zu x %zu", isa_name(plan->isa),
             s.kernel->tall.rows, s.kernel->tall.vectors * s.kernel->vlen, (size_t)s.channels * s.taps,
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
