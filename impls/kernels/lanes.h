/* The register kernels beside brgemm.h: 16 lanes of A meet the same 16 lanes of B. For layers where a vector of
 * output channels per scalar of the input would idle. Strides are in floats.
 *
 *   dot        C[i][j]  =  sum over segments s, l < 16 of A_s[i][l] * B_s[j][l]
 *              few output channels (backward of a first layer): the lanes are the reduction, added up at the end.
 *   scale      C[i][l]  =  sum over segments s of A_s[i][l] * B_s[l]
 *              depthwise: a segment a tap. `columns` is not read.
 *   correlate  C[r][c][l] +=  sum over images n, lines y, k < depth of A[n][y][k][r][c][l] * B[n][y][k][l]
 *              weight gradient of depthwise: y and k are the rows and pixels of a piece of dst, r and c taps.
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

/* A[n][y][k][r][c] begins at a[n*a_image + y*a_line + k*a_k + r*a_row + c*a_column], B[n][y][k] at
 * b[n*b_image + y*b_line + 16*k], C[r][c] at c[r*c_row + 16*c]. */
struct correlate_shape {
    int images, lines, depth;
    int rows, columns; /* taps */
    ptrdiff_t a_image, a_line, a_k, a_row, a_column;
    ptrdiff_t b_image, b_line;
    ptrdiff_t c_row;
};

typedef void correlate_fn(const struct correlate_shape *shape, const float *a, const float *b, float *c);

struct lanes_kernel {
    lanes_fn *dot, *scale;
    correlate_fn *correlate;
};

/* The kernels for an instruction set. */
const struct lanes_kernel *lanes_kernel(enum isa isa);

#endif
