/* Seeded data for a tensor: element i depends on (seed, i) alone, so it is the same for any thread count.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_FILL_H
#define TRIPASS_FILL_H

#include "conv.h"

#include <stdint.h>

enum fill {
    FILL_EXACT, /* integers in [-m, m], m = min(4, floor(sqrt(2^24 / n))) but at least 1, with n the reduction
                      length: n products of at most m^2 sum to at most 2^24, exactly, in any order */
    FILL_REAL,  /* uniform in [-1, 1], multiples of 2^-23: no denormals */
    FILL_MAGNITUDE /* |FILL_REAL|: on it a pass computes sum |a*b| */
};

/* reduction: conv_reduction of the pass that the data are for. Tensors of one problem want different seeds. */
void fill_tensor(float *data, size_t elements, enum fill fill, double reduction, uint64_t seed, int threads);

#endif
