/* Seeded data for a tensor: element i depends on (seed, i) alone, so it is the same for any thread count.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_FILL_H
#define TRIPASS_FILL_H

#include "conv.h"

#include <stdint.h>

enum fill {
    FILL_EXACT, /* integers in [-m, m], m = min(4, floor(sqrt(2^24 / CONV_EXACT_MOST / n))) but at least 1, with n the
                      reduction length: n products of at most m^2 sum to at most 2^24 / CONV_EXACT_MOST, exactly, in any
                      order (for m = 1 and an n above that, by chance of the signs) */
    FILL_TAPS,     /* +-[3/4, 1], multiples of 2^-24; with fill_isolate, each output is one product at most */
    FILL_REAL,     /* uniform in [-1, 1], multiples of 2^-23: no denormals */
    FILL_MAGNITUDE /* |FILL_REAL|: on it a pass computes sum |a*b| */
};

/* reduction: conv_reduction of the pass that the data are for. Tensors of one problem want different seeds. */
void fill_tensor(float *data, size_t elements, enum fill fill, double reduction, uint64_t seed, int threads);

/* FILL_TAPS, on the one of the pass's inputs that is called sparse here, src or dst: leaves so few elements that each
 * output is a single product at most, so that a wrong weight shows undiminished and nothing cancels.
 *
 *     fwd, bwd   of src (dst): every P-th row and column, so that no output meets two of them; there, one channel of
 *                each group, in turn. All taps show; all single weights do if there are P^2 times as many pixels as channels
 *     upd        of dst: one pixel of each channel
 */
enum conv_tensor fill_sparse(enum conv_tensor output);
void fill_isolate(float *sparse, const struct conv_problem *problem, enum conv_tensor output, uint64_t seed,
                  int threads);

#endif
