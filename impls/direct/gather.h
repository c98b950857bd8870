/* Forward and backward by gathering (see strip.h): for each strip of output rows and each panel of output channels
 * one call of the register kernel a run of rows, one segment per (input channel block, tap). Backward reads dst
 * with the weights transposed: a panel at a time, anew for each strip, just before they are used, and prefetched during the
 * one before, for they lie far apart. Transposing all at once before took 8 % of the time at 7x7, where few pixels share
 * them (one thread, Zen 4). Forward's lie in the order of their use: the register tiles prefetch the next panel's.
 *
 * A 1x1 convolution with a stride leaves most pixels of src without a tap. Backward is then one phase whose products stand
 * side by side, as those of stride 1, and a piece at a time are spread among the zeros, so that the stores of one piece
 * wait for memory during the products of the next: against 2.6.3 three layers of ResNet-50 went from 0.96 to 1.00 (Zen 4).
 *
 * Channels beyond the last are left out where that is cheap: of the output the second vector of a block, which is zeroed, of
 * the input the end of a block that is a chunk of its own.
 *
 * gather_plan.c decides what is written here, gather.c follows it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_GATHER_H
#define TRIPASS_GATHER_H

#include "direct.h"
#include "kernels/dot.h"
#include "kernels/spread.h"
#include "kernels/transpose.h"

enum { GATHER_PIECE = 28 }; /* pixels: two register tiles of AVX-512 */

/* Columns of the output that have the same horizontal taps inside the image. One band is all, unless the input is read in
 * place although some taps are outside: by the dot kernel, for copying took a fifth to a third of a first layer's time. */
struct gather_band {
    int first, count;
    struct range taps;
};

/* The segments of a band of the output rows for which the vertical taps `taps` are valid. */
struct gather_list {
    struct range taps;
    int of_block; /* segments of one input block; they stand block by block */
    struct brgemm_segment *segment;
};

struct gather_phase {
    const struct axis *y, *x;
    struct strip strip;
    int chunk;       /* input blocks in a call */
    int depth, tail; /* of a segment; of the last chunk, where that is a block with fewer channels */
    struct gather_band *band;
    int bands;
    struct gather_list *list; /* of all bands, for each different range of vertical taps */
    int lists, *list_of_row;  /* of the first band */
    int calls;                /* for a strip of an image, at most */
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
    int images, together;                 /* of one group; how many of them share a strip's turn */
    int panels, width;                    /* width: output blocks in a panel */
    int strips;                           /* of an image, at least */
    bool half;                            /* the last output block needs one of its two vectors only */
    int tail;                             /* channels of the last input block */
    transpose_fn *transpose;              /* of a block of weights; or NULL, they are used as they are */
    const struct spread_kernel *spread;   /* of products; or NULL, they are where they belong */
    bool stream;                          /* past the caches, where it is spread */
    ptrdiff_t spread_panel, spread_block; /* floats of the products of a panel of an image; of a block */
    struct axis *y, *x;
    int ys, xs, phases, items;
    struct gather_phase *phase;
    struct gather_item *item; /* items + 1: the last one holds the sum */
    size_t copy_floats;       /* of the largest chunk of a strip */
    size_t weight_floats;     /* of a transposed panel, at most */
    size_t spread_floats;     /* of the products to be spread */
    size_t scratch_floats;    /* of a thread: a transposed panel, copies of strips, products */
    ptrdiff_t tap_weights;    /* floats of one tap of a block */
};

void gather_run(const void *state, float *const tensor[CONV_TENSORS], float *scratch);

#endif
