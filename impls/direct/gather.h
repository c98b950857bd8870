/* Forward and backward by gathering (see strip.h): for each strip of output rows and each panel of output channels
 * one call of the register kernel a run of rows, one segment per (input channel block, tap). Backward reads dst
 * with the weights transposed, which is done anew in every run, once, before the work is shared out.
 *
 * gather_plan.c decides what is written here, gather.c follows it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_GATHER_H
#define TRIPASS_GATHER_H

#include "direct.h"
#include "kernels/dot.h"

/* The segments of the output rows for which the vertical taps `taps` are valid. */
struct gather_list {
    struct range taps;
    int of_block; /* segments of one input block; they stand block by block */
    struct brgemm_segment *segment;
};

struct gather_phase {
    const struct axis *y, *x;
    struct strip strip;
    int chunk; /* input blocks in a call */
    int depth, *list_of_row;
    struct gather_list *list; /* as many as there are different ranges of taps */
    int lists;
    ptrdiff_t weights, panel, block; /* where its weights begin; from an output, an input block to the next */
};

/* A strip of an image. cost: of all items before it. */
struct gather_item {
    int phase, y0;
    double cost;
};

struct gather {
    struct native native;
    const struct brgemm_kernel *kernel;
    dot_fn *dot; /* instead of the kernel, for few output channels */
    enum conv_tensor input, output;
    struct activation in, out;
    int threads;
    int images, together; /* of one group; how many of them share a strip's turn */
    int panels, width;    /* width: output blocks in a panel */
    bool transposed;      /* the weights */
    struct axis *y, *x;
    int ys, xs, phases, items;
    struct gather_phase *phase;
    struct gather_item *item; /* items + 1: the last one holds the sum */
    size_t copy_floats;       /* of the largest chunk of a strip */
    size_t group_weights;     /* floats, transposed or not */
    size_t packed_floats;     /* of all groups */
    ptrdiff_t tap_weights;    /* floats of one tap of a block */
};

void gather_run(const void *state, float *const tensor[CONV_TENSORS], float *scratch);

#endif
