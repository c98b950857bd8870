/* How many multiply-adds a core does at most: the roof that a convolution's speed is compared with.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PEAK_H
#define TRIPASS_PEAK_H

#include "kernels/isa.h"

/* Runs `iterations` of x = x * scale + shift on independent vectors in registers, on the calling thread, and returns
 * the flop done (a multiply-add is 2). *mean is the mean of all lanes in the end: with scale + shift = 1, scale < 1,
 * each has come to 1, whatever it started from. */
typedef double peak_fn(long iterations, float scale, float shift, float *mean);
ISA_DECLARE(peak_fn, peak);

#endif
