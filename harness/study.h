/* What to measure: the one description that the command line fills, the supervisor walks and every worker
 * process walks again. A study is the product
 *
 *     repetitions x thread counts x problems x passes x implementations
 *
 * in that nesting; the innermost product of one problem and pass is a group, whose implementations are
 * measured interleaved. Supervisor and workers build the same study from the same command line, so a
 * point is known by its index alone.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_STUDY_H
#define TRIPASS_STUDY_H

#include "conv.h"
#include "topology.h"

#include <stdbool.h>
#include <stdint.h>

/* A layer of a table: a problem, its name and how often its network has it. */
struct layer {
    struct conv_problem problem;
    char name[64];    /* "" if unnamed */
    int multiplicity; /* >= 1 */
};

/* cold: runs rotate through sets of tensors that hold COLD_CACHES times the last-level cache together */
enum cache_protocol { CACHE_WARM, CACHE_COLD };
enum { COLD_CACHES = 2 };

struct study {
    struct layer *layers;
    int layer_count;
    enum conv_tensor outputs[CONV_TENSORS]; /* the passes, in the order fwd, bwd, upd */
    int output_count;
    const struct conv_impl **impls;
    int impl_count;
    int *threads; /* thread counts */
    int thread_count;
    int repetitions; /* worker processes per thread count */

    struct placement placement;
    bool interleave; /* memory on all NUMA nodes in turn, not where it is first touched */
    enum isa isa;
    struct conv_layer layer; /* computed and timed with each pass */
    enum cache_protocol cache;
    bool phases;         /* profile each point after its samples: phases.csv */
    bool check_only;     /* check, do not time */
    int samples;         /* timed calls a point at most (the stop rule's upper bound), >= 1 */
    double ci_percent;   /* a point has samples enough if the 95 % interval is so narrow; 0 = no such rule */
    double max_time_s;   /* wall time a point's samples may take */
    int retry_noisy;     /* times that a point with noise flags is measured again */
    double budget_s;     /* wall time the whole study should take; 0 = no limit. See budget.h */
    double wait_quiet_s; /* how long to wait for a quiet machine before it begins: quiet.h */
    double timeout_s;    /* a step of a point (its plan, one call) that takes longer is killed: TIMEOUT */
    double lr;           /* mu of the SGD step */
    size_t memory_limit; /* bytes a point may need; more is a SKIP row */
    uint64_t seed;       /* data and order of rounds */
    const char *out;     /* directory, or "-" for points on stdout */
    bool force;          /* overwrite what a directory already holds */
    bool resume;         /* go on with it */
};

#endif
