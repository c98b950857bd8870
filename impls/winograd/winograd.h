/* What the passes of Winograd convolution share: the cut of the images into tiles, and how a plan blocks them.
 *
 * Every pass slides over two images: the `large` one, read n x n pixels at a time, and the `small` one, m x m pixels
 * a tile:
 *
 *     pass   large (c channels)    small (k channels)    product of the values at each point
 *     fwd    src                   dst, written          small[tile][k] = sum over c     large[tile][c] * weights[c][k]
 *     bwd    dst                   src, written          the same with flipped, transposed weights
 *     upd    src                   dst, read             weights[c][k]  = sum over tiles large[tile][c] * small[tile][k]
 *
 * With stride 2 (points.h) each pass has four phases, by the taps that take part, 0 and 2 or 1 alone in height and in
 * width. In each, the one image with more pixels (src) has every other pixel of every other row, a lattice:
 *
 *     fwd    the phases' large images are src's lattices; their products are added up
 *     bwd    the phases' small images are src's lattices; each phase is a convolution of its own
 *     upd    the phases' large images are src's lattices; each gives its taps of the weights
 *
 * A phase with one tap in a direction lacks the point at infinity there, and has one value of the weights for all others.
 *
 * Where an image ends in less than m pixels, its last tiles are smaller ones, on some of the same points (points.h): 14
 * pixels are 6 + 6 + 2, with 8 + 8 + 4 values instead of 24, so 400 products instead of 576. With stride 2 all
 * tiles are whole: 7 of F(7,2) fit the images of common networks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_WINOGRAD_H
#define TRIPASS_WINOGRAD_H

#include "conv.h"
#include "kernels/brgemm.h"
#include "kernels/layout.h"
#include "kernels/transpose.h"
#include "winograd/transform.h"

/* Pixels first, first + step, .. of `size` in a direction of an image; `count` of them. */
struct winograd_lattice {
    int size, first, step, count;
};

/* One direction of a phase: pixel o of the small lattice meets pixels o - pad .. o - pad + taps - 1 of the large one by taps
 * tap, tap + stride .. (of the flipped weights backward). Pixels of the small lattice outside lo .. hi - 1 meet none: they
 * are zero or without effect, and no tile covers them. All phases have the same tiles. */
struct winograd_axis {
    struct winograd_lattice large, small;
    int pad, tap, taps;
    int lo, hi;
    int whole, tiles;      /* tiles of m pixels; with the last one, where a smaller one does */
    int pairs, last_pairs; /* of points, in both */
};

/* Tiles are numbered kind by kind: those that are small in width alone, in neither direction, in height alone, in both. So
 * the tiles that have a point are a range. */
enum { WINOGRAD_KINDS = 4 };

/* A plan's state. Channels are counted in blocks of 16, of one group. */
struct winograd {
    const struct winograd_kernel *kernel;
    const struct brgemm_kernel *gemm;
    transpose_fn *transpose;
    int stride, m, n, points;        /* points: n x n */
    struct winograd_axis h[2], w[2]; /* of phase f: h[f / stride], w[f % stride] */
    int phases, summed;              /* phases; so many whose products are added up */
    int values[5];                   /* of the weights, in all phases before this one; the last is the sum */
    int groups, cb, kb;
    long kinds[WINOGRAD_KINDS + 1]; /* the number of the first tile of each kind */
    long tiles;                     /* of all images */
    long parts;                     /* they are worked on in so many parts */
    int tile_block;                 /* of at most so many tiles */
    bool shared; /* the team works on one part at a time, otherwise each thread on its own */
    bool stream; /* the output is too large to stay in the level 2 caches once it is written */
};

/* Values at the points: point p, channel block b, tile t begin at base[p*point + b*block + t*tile]. */
struct winograd_panel {
    float *base;
    ptrdiff_t point, block, tile;
};

/* A part of the images: tiles [tile, tile_end) and, of each, channel blocks [block, block_end). */
struct winograd_part {
    long tile, tile_end;
    int block, block_end;
};

/* Fills in kinds and tiles. */
void winograd_number(struct winograd *w, int images);

/* Part number `index` of `parts` equal ones of all tiles, with `blocks` channel blocks. */
struct winograd_part winograd_cut(const struct winograd *w, long index, long parts, int blocks);

/* What of a part has values at a point. */
struct winograd_part winograd_at_point(const struct winograd *w, struct winograd_part part, int point);

/* Which of a phase's values of the weights meets those of the images at a point; -1: none. */
int winograd_tap_value(const struct winograd *w, int phase, int point);

/* Values of a part of a phase's large image (B^T d B) and of its small one (A y A^T); and the small image from values
 * (A^T v A). Images are the native tensors; the panel holds the part alone. */
void winograd_read_large(const struct winograd *w, int phase, float *image, int group,
                         struct winograd_part part, struct winograd_panel panel);
void winograd_read_small(const struct winograd *w, int phase, float *image, int group,
                         struct winograd_part part, struct winograd_panel panel);
void winograd_write_small(const struct winograd *w, int phase, float *image, int group,
                          struct winograd_part part, struct winograd_panel panel);

/* Prefetching what winograd_read_large or _small will read of the part after this, some rows of pixels of a tile at each
 * step, in the order in which they will: spread over other work, for prefetches beyond a core's miss buffers are lost. */
struct winograd_ahead {
    const struct winograd *w;
    float *image;
    int group, phase;
    bool large;
    long rows;                 /* at each step */
    struct winograd_part part; /* what is left of it */
    int row;
    struct winograd_window window;
};
/* A phase of part `index` of w->parts, which may be past the last one, in `steps` steps. */
struct winograd_ahead winograd_ahead(const struct winograd *w, int phase, float *image, int group, bool large,
                                     long index, long steps);
void winograd_ahead_step(struct winograd_ahead *ahead);

/* Floats to the next array: `floats` in whole cache lines, and an odd number of them, so that arrays that are walked
 * in step do not compete for the same cache sets. */
ptrdiff_t winograd_stride(ptrdiff_t floats);

/* Bytes of level 2 cache of a core. */
ptrdiff_t winograd_l2_bytes(void);

/* struct conv_impl's error_bound and tap_bound, derived in bound.c. */
double winograd_error_bound(const struct winograd *w, const struct conv_problem *problem,
                            enum conv_tensor output);
double winograd_tap_bound(const struct winograd *w, enum conv_tensor output);

/* The passes: blocking and scratch size of a plan whose geometry is filled in, and the run. */
void winograd_image_plan(struct conv_plan *plan);
void winograd_image_run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch);
void winograd_gradient_plan(struct conv_plan *plan);
void winograd_gradient_run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch);

#endif
