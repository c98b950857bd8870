/* How fast a core moves memory at most, at whatever level of the hierarchy its arrays fit into: the other roof that a
 * convolution's speed is compared with.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TRAFFIC_H
#define TRIPASS_TRAFFIC_H

#include "kernels/isa.h"

#include <stddef.h>
#include <stdint.h>

enum { TRAFFIC_ARRAYS = 3, TRAFFIC_BLOCK = 128 }; /* n is a multiple of TRAFFIC_BLOCK */

/* Goes `passes` times over arrays a, b, c of n floats, on the calling thread, with ordinary stores:
 *     load    reads a                 copy    b = a                 triad    c = a + 3 b
 * Returns the sum of the words (as integers) of all that load has read; the others return 0. */
typedef uint32_t traffic_fn(float *const array[TRAFFIC_ARRAYS], size_t n, long passes);
ISA_DECLARE(traffic_fn, traffic_load);
ISA_DECLARE(traffic_fn, traffic_copy);
ISA_DECLARE(traffic_fn, traffic_triad);

#endif
