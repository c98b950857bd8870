/* Forward and backward by gathering (see strip.h): for each strip of output rows and each panel of output channels
 * one call of the register kernel a run of rows, one segment per (input channel block, tap). Backward reads dst
 * with the weights transposed: a panel at a time, anew for each strip, just before they are used, and prefetched during the
 * one before, for they lie far apart. Transposing all at once before took 8 % of the time at 7x7, where few pixels share
 * them (one thread, Zen 4).
 *
 * gather_plan.c decides what is written here, gather.c follows it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_GATHER_H
#define TRIPASS_GATHER_H

#include "direct.h"
#include "kernels/dot.h"
#include "kernels/transpose.h"

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
    bool stream;              /* zeros into an output that is too large to stay in the level 2 caches */
    struct gather_list *list; /* as many as there are different ranges of taps */
    int lists;
    int calls;              /* for a strip of an image, at most */
    ptrdiff_t panel, block; /* floats of its weights from an output block, from an input block to the next */
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
    int images, together;    /* of one group; how many of them share a strip's turn */
    int panels, width;       /* width: output blocks in a panel */
    transpose_fn *transpose; /* of a block of weights; or NULL, they are used as they are */
    struct axis *y, *x;
    int ys, xs, phases, items;
    struct gather_phase *phase;
    struct gather_item *item; /* items + 1: the last one holds the sum */
    size_t copy_floats;       /* of the largest chunk of a strip */
    size_t weight_floats;     /* of a transposed panel, at most */
    size_t scratch_floats;    /* of a thread: a transposed panel, then copies of strips */
    ptrdiff_t tap_weights;    /* floats of one tap of a block */
};

void gather_run(const void *state, float *const tensor[CONV_TENSORS], float *scratch);

#endif
