/* What a layer does element by element beside its convolution, on any layout whose channels repeat within 16
 * elements: 16 consecutive elements meet the same 16 lanes of bias or of sums. phi is an activation (activation.h).
 *
 *     forward    y[i]         =  phi(y[i] + bias[i % 16])
 *     backward   dz[i]        =  dy[i] * phi'(z[i]), from y[i] = phi(z[i])
 *     sum        sum[i % 16] +=  dz[i]
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_ELEMENTWISE_H
#define TRIPASS_ELEMENTWISE_H

#include "conv.h"

enum { ELEMENTWISE_LANES = 16 };

struct elementwise_kernel {
    void (*forward)(enum activation_kind kind, const float bias[ELEMENTWISE_LANES], float *y, size_t n);
    void (*backward)(enum activation_kind kind, const float *y, const float *dy, float *dz, size_t n);
    void (*sum)(const float *dz, size_t n, float sum[ELEMENTWISE_LANES]);
};

/* The kernels for an instruction set. */
const struct elementwise_kernel *elementwise_kernel(enum isa isa);

#endif
