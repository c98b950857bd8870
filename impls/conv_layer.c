/* See layer.h. SPDX-License-Identifier: Apache-2.0 */
#include "conv_layer.h"

#include "kernels/elementwise.h"
#include "phase.h"
#include "size.h"

#include <string.h>

enum {
    PIECE = 4096 /* floats that a thread takes at a time: 16 KiB, half of a level-1 cache */
};

/* The native dst as rows: the pixels of an image's channel block. */
struct rows {
    int images, groups, blocks, block; /* blocks: of a group; block: channels */
    int channels;                      /* of a group */
    size_t floats;                     /* of a row */
};

static struct rows rows_of(const struct conv_plan *plan)
{
    const struct conv_problem *p = &plan->problem;
    const int channels = p->oc / plan->dst_groups;
    return (struct rows){
        p->mb,           plan->dst_groups, (channels + plan->dst_block - 1) / plan->dst_block,
        plan->dst_block, channels,         (size_t)p->oh * p->ow * plan->dst_block};
}

static size_t floats_of_piece(size_t floats, size_t piece)
{
    return floats - piece * PIECE < PIECE ? floats - piece * PIECE : PIECE;
}

/* The channel of a lane of block `at` (counted over groups), or -1 in the padding. */
static int channel_of(const struct rows *r, int at, int lane)
{
    const int within = at % r->blocks * r->block + lane;
    return within < r->channels ? at / r->blocks * r->channels + within : -1;
}

/* Channels that fill up a block stay zero, also where phi(0) is not. */
static void clear_padding(const struct rows *r, int at, float *y, size_t n)
{
    for (int lane = 0; lane < r->block; lane++)
        if (channel_of(r, at, lane) < 0)
            for (size_t i = (size_t)lane; i < n; i += (size_t)r->block)
                y[i] = 0;
}

/* y = phi(y + b) */
static void forward(const struct conv_plan *plan, const float *bias, float *y)
{
    const struct elementwise_kernel *kernel = elementwise_kernel(plan->isa);
    const struct rows r = rows_of(plan);
    const int blocks = r.groups * r.blocks;
    const size_t rows = (size_t)r.images * blocks, pieces = (r.floats + PIECE - 1) / PIECE;
#pragma omp parallel for collapse(2) num_threads(plan->threads)
    for (size_t row = 0; row < rows; row++)
        for (size_t piece = 0; piece < pieces; piece++) {
            const int at = (int)(row % blocks);
            const size_t n = floats_of_piece(r.floats, piece);
            float *from = y + row * r.floats + piece * PIECE, lanes[ELEMENTWISE_LANES];
            for (int i = 0; i < ELEMENTWISE_LANES; i++) {
                const int channel = channel_of(&r, at, i % r.block);
                lanes[i] = bias && channel >= 0 ? bias[channel] : 0;
            }
            kernel->forward(plan->layer.activation, lanes, from, n);
            if (plan->layer.activation == ACTIVATION_SIGMOID)
                clear_padding(&r, at, from, n);
        }
}

/* dz = dy * phi'(y) */
static void backward(const struct conv_plan *plan, const float *y, const float *dy, float *dz)
{
    const struct elementwise_kernel *kernel = elementwise_kernel(plan->isa);
    const size_t floats = plan->bytes[CONV_DST] / sizeof *dz;
#pragma omp parallel for num_threads(plan->threads)
    for (size_t at = 0; at < floats; at += PIECE)
        kernel->backward(plan->layer.activation, y + at, dy + at, dz + at,
                         floats_of_piece(floats, at / PIECE));
}

/* db(j) = sum over images and pixels of dz(s,j). sums: a block of floats for each row. */
static void sum_bias(const struct conv_plan *plan, const float *dz, float *db, float *sums)
{
    const struct elementwise_kernel *kernel = elementwise_kernel(plan->isa);
    const struct rows r = rows_of(plan);
    const int blocks = r.groups * r.blocks;
    const size_t rows = (size_t)r.images * blocks;
#pragma omp parallel num_threads(plan->threads)
    {
#pragma omp for
        for (size_t row = 0; row < rows; row++) {
            float lanes[ELEMENTWISE_LANES] = {0}, *sum = sums + row * r.block;
            kernel->sum(dz + row * r.floats, r.floats, lanes);
            memset(sum, 0, r.block * sizeof *sum);
            for (int i = 0; i < ELEMENTWISE_LANES; i++)
                sum[i % r.block] += lanes[i];
        }
#pragma omp for
        for (int at = 0; at < blocks; at++)
            for (int lane = 0; lane < r.block; lane++) {
                const int channel = channel_of(&r, at, lane);
                if (channel < 0)
                    continue;
                db[channel] = 0;
                for (size_t row = (size_t)at; row < rows; row += (size_t)blocks)
                    db[channel] += sums[row * r.block + lane];
            }
    }
}

/* Does the layer add anything to this pass? */
static bool layer_adds(const struct conv_plan *plan)
{
    const struct conv_layer *layer = &plan->layer;
    return (plan->output != CONV_SRC && layer->bias) ||
           (plan->output != CONV_WEI && layer->activation != ACTIVATION_IDENTITY);
}

size_t layer_scratch_bytes(const struct conv_plan *plan)
{
    const struct rows r = rows_of(plan);
    if (!layer_adds(plan) || plan->output == CONV_DST)
        return 0;
    return plan->output == CONV_SRC ? plan->bytes[CONV_DST]
                                    : sizeof(float) * r.images * r.groups * r.blocks * r.block;
}

size_t conv_beside_bytes(const struct conv_plan *plan)
{
    if (!layer_adds(plan))
        return 0;
    if (plan->output == CONV_SRC)
        return plan->bytes[CONV_DST];
    return plan->layer.bias ? plan->problem.oc * sizeof(float) : 0;
}

/* conv_plan_make has put it behind the implementation's. */
static float *own_scratch(const struct conv_plan *plan, void *scratch)
{
    const size_t bytes = size_round_up(layer_scratch_bytes(plan), LAYER_ALIGNMENT);
    return (float *)(void *)((char *)scratch + plan->scratch_bytes - bytes);
}

void conv_run(const struct conv_impl *impl, const struct conv_plan *plan, float *const tensor[CONV_TENSORS],
              float *beside, void *scratch)
{
    if (!layer_adds(plan)) {
        impl->run(plan, tensor, scratch);
    } else if (impl->run_layer) {
        impl->run_layer(plan, tensor, beside, scratch);
    } else if (plan->output == CONV_DST) {
        impl->run(plan, tensor, scratch);
        forward(plan, plan->layer.bias ? beside : NULL, tensor[CONV_DST]);
        phase_mark(PHASE_LAYER);
    } else if (plan->output == CONV_SRC) {
        float *dz = own_scratch(plan, scratch);
        backward(plan, beside, tensor[CONV_DST], dz);
        phase_mark(PHASE_LAYER);
        impl->run(plan, (float *[CONV_TENSORS]){tensor[CONV_SRC], tensor[CONV_WEI], dz}, scratch);
    } else {
        impl->run(plan, tensor, scratch);
        sum_bias(plan, tensor[CONV_DST], beside, own_scratch(plan, scratch));
        phase_mark(PHASE_LAYER);
    }
}
