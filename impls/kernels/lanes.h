/* The register kernels beside brgemm.h: 16 lanes of A meet the same 16 lanes of B. For layers where a vector of
 * output channels per scalar of the input would idle. Strides are in floats.
 *
 *   dot        C[i][j]  =  sum over segments s, l < 16 of A_s[i][l] * B_s[j][l]
 *              few output channels (backward of a first layer): the lanes are the reduction, added up at the end.
 *   scale      C[i][l]  =  sum over segments s of A_s[i][l] * B_s[l]
 *              depthwise: a segment a tap. `columns` is not read.
 *   correlate  C[t][l] +=  sum over segments s, k < depth of A_s[k][t][l] * B_s[k][l]
 *              weight gradient of depthwise: k are pixels, t taps.
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

/* A_s[k][t] begins at a[segment.a + k*a_k + t*a_tap], B_s[k] at b[segment.b + 16*k], C[t] at c[16*t]. */
struct correlate_shape {
    int taps, depth;
    ptrdiff_t a_k, a_tap;
};

typedef void correlate_fn(const struct correlate_shape *shape, int segments,
                          const struct brgemm_segment *segment, const float *a, const float *b, float *c);

struct lanes_kernel {
    lanes_fn *dot, *scale;
    correlate_fn *correlate;
};

/* The kernels for an instruction set. */
const struct lanes_kernel *lanes_kernel(enum isa isa);

#endif
