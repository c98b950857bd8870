/* The register kernels beside brgemm.h: 16 lanes of A meet the same 16 lanes of B. For layers where a vector of
 * output channels per scalar of the input would idle. Strides are in floats.
 *
 *   dot        C[i][j]  =  sum over segments s, l < 16 of A_s[i][l] * B_s[j][l]
 *              few output channels (backward of a first layer): the lanes are the reduction, added up at the end.
 *   filter     out[y][k][l]  =  sum over taps r, c of in[y][k][r][c][l] * taps[r][c][l]
 *              forward and backward of depthwise.
 *   correlate  taps[r][c][l]   +=  sum over n, y, k of in[n][y][k][r][c][l] * out[n][y][k][l]
 *              its weight gradient.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_LANES_H
#define TRIPASS_LANES_H

#include "kernels/brgemm.h"

enum { LANES = 16 };

/* A_s[i] begins at a[segment.a + i*a_row], B_s[j] at b[segment.b + 16*j]; C[i][j] is c[i*c_row + j]. */
struct lanes_shape {
    int rows, columns;
    ptrdiff_t a_row, c_row;
};

typedef void lanes_fn(const struct lanes_shape *shape, int segments, const struct brgemm_segment *segment,
                      const float *a, const float *b, float *c);

/* Positions of an output [image n (correlate)][line y][k] and taps [r][c]. in[n][y][k][r][c] begins at
 * in[n*in_image + y*in_line + k*in_k + r*in_row + c*in_column], and out and taps in the same way. */
struct depthwise_shape {
    int images, lines, depth; /* positions */
    int rows, columns;        /* taps; filter: 0 too */
    ptrdiff_t in_image, in_line, in_k, in_row, in_column;
    ptrdiff_t out_image, out_line, out_k;
    ptrdiff_t tap_row, tap_column;

    /* Floats from a pixel (of the last tap of a call) to what is prefetched meanwhile; 0: nothing. */
    ptrdiff_t in_ahead, out_ahead;
    bool accumulate; /* filter: += */
};

typedef void filter_fn(const struct depthwise_shape *shape, const float *in, const float *taps, float *out);
typedef void correlate_fn(const struct depthwise_shape *shape, const float *in, const float *out,
                          float *taps);

struct lanes_kernel {
    lanes_fn *dot;
    filter_fn *filter;
    correlate_fn *correlate;
};

/* The kernels for an instruction set. */
const struct lanes_kernel *lanes_kernel(enum isa isa);

#endif
