/* The register kernels of depthwise layers: 16 channels are the lanes, a pixel of the input meets the weights of its own
 * channels.
 *
 *   filter     out[n][y][k][l]  =  sum over taps r, c of in[n][y][k][r][c][l] * taps[r][c][l]     forward and backward
 *   correlate  taps[r][c][l]   +=  sum over n, y, k of in[n][y][k][r][c][l] * out[n][y][k][l]     weight gradient
 *   spread     backward of 3 x 3 taps with stride 2 and padding 1: y and k are of the input, which is dst; out[n][y][k] is
 *              the first of 2 x 2 pixels, the others half a line and half a k further. in[n][y][k] reaches these with taps
 *              (1, 1), (1, 2), (2, 1) and (2, 2), and the three pixels after it reach them with the others.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_DEPTHWISE_H
#define TRIPASS_DEPTHWISE_H

#include "kernels/isa.h"

#include <stddef.h>

enum { DEPTHWISE_LANES = 16 };

/* Strides in floats. Positions of an output [image n][line y][k] and taps [r][c]. in[n][y][k][r][c] begins at
 * in[n*in_image + y*in_line + k*in_k + r*in_row + c*in_column], and out and taps in the same way. */
struct depthwise_shape {
    int images, lines, depth; /* positions */
    int rows, columns;        /* taps; filter: 0 too; spread: pixels that reach a pixel of out, 1 or 2 */

    /* So many first and last k do without the first and the last of 3 columns, if there are at most 3 rows; spread: 0 and 1. */
    int left, right;

    ptrdiff_t in_image, in_line, in_k, in_row, in_column;
    ptrdiff_t out_image, out_line, out_k;
    ptrdiff_t tap_row, tap_column;

    ptrdiff_t ahead; /* filter, spread: from what is read or written to what is prefetched; 0: nothing is */
};

typedef void filter_fn(const struct depthwise_shape *shape, const float *in, const float *taps, float *out);
typedef void correlate_fn(const struct depthwise_shape *shape, const float *in, const float *out,
                          float *taps);

struct depthwise_kernel {
    filter_fn *filter, *spread;
    correlate_fn *correlate;
};

/* The kernels for an instruction set. */
const struct depthwise_kernel *depthwise_kernel(enum isa isa);

#endif
