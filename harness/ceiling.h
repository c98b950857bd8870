/* What this machine gives right now: the roofs that measured figures are compared with.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CEILING_H
#define TRIPASS_CEILING_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stddef.h>

struct ceiling {
    int threads;
    bool pinned;            /* every thread ran on its own core (filled in by the worker) */
    double fma_flops[ISAS]; /* flop/s of independent multiply-adds in registers; 0 if the CPU lacks the ISA */
    double load_bps;        /* bytes/s read */
    double copy_bps;  /* bytes/s of b = a: 1 read + 1 written per element (write-allocate not counted) */
    double triad_bps; /* bytes/s of c = a + s*b: 2 read + 1 written */
    size_t bandwidth_bytes; /* size of each array; > 4 x last-level cache, or what memory allows */
};

/* All of it, about a second. Bandwidths are the best of 5 passes (STREAM's rule: noise only slows), multiply-adds
 * the median of 9 calls of ceiling_fma. cache_bytes: the last-level cache. */
void ceiling_measure(struct ceiling *ceiling, int threads, size_t cache_bytes);

/* flop/s of one run of about 2 ms on `threads` threads: short enough to stand in every round beside the calls that
 * it is compared with, so that both see the same clock and the same neighbours. */
double ceiling_fma(enum isa isa, int threads);

#endif
