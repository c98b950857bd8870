/* Rows of a strided lattice of pixels among zeros: what the backward pass of a 1x1 convolution with a stride leaves in src.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SPREAD_H
#define TRIPASS_SPREAD_H

#include "kernels/isa.h"

#include <stdbool.h>

enum { SPREAD_BLOCK = 16 };

/* Pixels of 16 channels: to[0], to[step] .. below `width` become from[0], from[1] ..; the others, or all of them with from
 * NULL, zero. stream: past the caches, with `to` aligned to 64 bytes; then call the fence. */
typedef void spread_fn(const float *from, int step, float *to, int width, bool stream);

struct spread_kernel {
    spread_fn *row;
    void (*fence)(void); /* once a thread, after the last row: orders its stores */
};

/* The kernel for an instruction set. */
const struct spread_kernel *spread_kernel(enum isa isa);

#endif
