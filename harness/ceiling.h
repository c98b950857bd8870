/* What this machine gives right now: the roofs that measured figures are compared with (the roofline model: Williams,
 * Waterman and Patterson, CACM 52(4), 2009).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CEILING_H
#define TRIPASS_CEILING_H

#include "handoff.h"
#include "topology.h"

#include "kernels/isa.h"

enum memory_level { LEVEL_L1, LEVEL_L2, LEVEL_L3, LEVEL_DRAM, LEVELS };
enum traffic { TRAFFIC_LOAD, TRAFFIC_COPY, TRAFFIC_TRIAD, TRAFFICS };
extern const char *const memory_level_names[LEVELS]; /* "L1", "L2", "L3", "DRAM" */

struct ceiling {
    int threads;
    bool pinned;            /* every thread ran on its own core (filled in by the worker) */
    double fma_flops[ISAS]; /* flop/s of independent multiply-adds in registers; 0 if the CPU lacks the ISA */
    double fma_apart
        [ISAS]; /* how far the best probe is above the second best, a fraction of it: FMA_AGREE or less is good */
    size_t working_set[LEVELS]; /* bytes that each thread went over, all arrays together; 0: no such level */
    /* bytes/s of the team. load: read; copy, b = a: 1 read + 1 written; triad, c = a + 3 b: 2 read + 1 written (the
     * line that a store fetches first is not counted, as in STREAM). 0: not measured */
    double bps[ISAS][LEVELS][TRAFFICS];
    struct handoff_matrix handoff;
};

/* Probes of a ceiling agree if the best two are so close: those of 25 calls were within 1.5 % in each of 24 series on two
 * shared cores of a Zen 3. */
#define FMA_AGREE 0.02

/* All of it, one to two seconds, with arrays of each thread's own. Of 25 calls in a cache, or of 5 passes over memory, the
 * best one counts (STREAM's rule: noise only slows); ceiling_fma is called until its best two agree, 25 to 250 times. Counts *step up as it goes on, so that a
 * slow machine is not taken for a hang. */
void ceiling_measure(struct ceiling *ceiling, int threads, const struct topology *topology,
                     volatile unsigned long *step);

/* flop/s of one run of about 2 ms on `threads` threads: short enough to stand in every round beside the calls that
 * it is compared with, so that both see the same clock and the same neighbors. */
double ceiling_fma(enum isa isa, int threads);

#endif
