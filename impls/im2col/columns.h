/* Q, the matrix of im2col, block by block.
 *
 * Q has a row for each tap of each input channel, k = (ic, kh, kw), and a column for each output pixel of the
 * minibatch, x = (mb, oh, ow). Q[k][x] is the input that tap k of pixel x reads, zero outside the image. With
 * the weights as a matrix W[oc][k] and the outputs as D[oc][x], the passes are
 *
 *     D = W Q        Q' = W^T D, and each Q'[k][x] added to the input that it belongs to        W' = D Q^T
 *
 * A block of Q stands in the caller's memory in panels of `width` columns, one after another, each row-major and in
 * one piece: Q[k][x] is q[x / width * rows * width + k * width + x % width]. One panel of all columns is a plain
 * matrix; panels of 16 can be any operand of brgemm.h.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_COLUMNS_H
#define TRIPASS_COLUMNS_H

#include "conv.h"

/* Rows of `channels` input channels from `channel` on, columns of `pixels` output pixels from `pixel` on. */
struct columns_block {
    int channel, channels;
    size_t pixel, pixels;
    size_t width; /* of a panel: pixels, or COLUMNS_PANEL */
};

enum { COLUMNS_PANEL = 16 };

struct columns_kernel {
    /* im2col: fills the block q from the plain src, and the rest of its last panel with zeros. */
    void (*gather)(const struct conv_problem *problem, const struct columns_block *block, const float *src,
                   float *q);
    /* col2im: adds the block q to the plain src. Makes those entries of q zero that belong to no input. */
    void (*scatter)(const struct conv_problem *problem, const struct columns_block *block, float *q,
                    float *src);
    /* to[c][r] = from[r][c]; strides in floats. */
    void (*transpose)(size_t rows, size_t cols, const float *from, size_t from_stride, float *to,
                      size_t to_stride);
};

/* The kernel for an instruction set. */
const struct columns_kernel *columns_kernel(enum isa isa);

/* True if each image is its own Q: 1x1 without stride or padding. */
bool columns_are_image(const struct conv_problem *problem);

#endif
