/* One group: a problem and a pass, with every implementation of the study, planned, checked and timed side by side.
 *
 * All of them hold their memory at once, so that the rounds can interleave them; where that exceeds the study's limit
 * they are measured in several batches, each interleaved within itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_GROUP_H
#define TRIPASS_GROUP_H

#include "measure.h"
#include "profile.h"
#include "topology.h"

/* Receives a finished point; series is NULL if nothing was timed. */
typedef void point_fn(void *context, int impl, const struct point *point, const struct series *series);

/* Receives where the time of a point goes. */
typedef void profile_fn(void *context, const struct point *point, const struct runner *runner,
                        const struct profile *profile);

struct cost;

struct group {
    const struct study *study;
    const struct layer *layer;
    enum conv_tensor output;
    int threads, rep;
    const unsigned char *done; /* per implementation: 1 leaves it out */
    bool lone;                 /* no second witness is asked */
    uint32_t *proven;          /* per implementation, see board.h */
    struct cost *cost;         /* per implementation and of the truth, see board.h; kept up to date */
    const struct topology *topology;
    struct page *page;
    struct leftover *before; /* the process as it is to be for everyone */
    double *expected_s; /* per implementation, a part of the truth's included: see budget.h, like these: */
    double time_s, dearest_s; /* wall time for this group; for a single point at the least */
    double *best_flops;       /* the best FMA ceiling of the run at this thread count; kept up to date */
    point_fn *emit;           /* again for a point that is measured again */
    profile_fn *emit_profile; /* with study->phases, once, before its point */
    void *context;
};

void group_run(struct group *group);

/* The group's tensors, not allocated yet. */
struct data group_data(const struct group *group);

#endif
