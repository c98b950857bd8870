/* The register kernel beside brgemm.h for few output channels (backward of a first layer), where vectors of them would
 * idle. The lanes are the reduction and are added up at the end:
 *
 *     C[i][j]  =  sum over segments s, l < 16 of A_s[i][l] * B_s[j][l]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_DOT_H
#define TRIPASS_DOT_H

#include "kernels/brgemm.h"

enum { DOT_LANES = 16 };

/* A_s[i] begins at a[segment.a + i*a_row], B_s[j] at b[segment.b + 16*j]; C[i][j] is c[i*c_row + j]. Strides in floats. */
struct dot_shape {
    int rows, columns;
    ptrdiff_t a_row, c_row;
};

typedef void dot_fn(const struct dot_shape *shape, int segments, const struct brgemm_segment *segment,
                    const float *a, const float *b, float *c);

/* The kernel for an instruction set. */
dot_fn *dot_kernel(enum isa isa);

#endif
