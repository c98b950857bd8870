/* Timing the runners of one group (a problem and a pass) against each other.
 *
 * Rounds: in each, the FMA ceiling is measured once and then every runner is called once, in a seeded shuffled
 * order, so that drift and neighbors hit all alike (randomized multiple interleaved trials; Abedi and Brecht, ICPE
 * 2017). A sample is the wall time of a single call, fork and join included; only a call shorter than 100 times the
 * clock's own cost is repeated within a sample.
 *
 * Caches. warm: the same buffers each time, and one untimed call of the same implementation right before each timed
 * one, because the implementation before it has filled the caches with its own data. The untimed call is left out
 * where a call takes more than 0.2 s: filling a 32 MB cache at 10 GB/s takes 3 ms, 1.5 % of that.
 * cold: each call works on the next of several sets of tensors, which hold twice the last-level cache together.
 *
 * Inputs. Before each timed call two elements of every input change places (runner_run_changing), so that a result that was
 * kept from an earlier call is wrong, which check_timed sees after the samples. It costs a cache line or two a tensor.
 *
 * Noise: the system's counters are read before the untimed and after the timed call (noise.h), so that the reading itself
 * is in no sample and in no cache; the rounds' FMA ceilings tell the clock. Each round begins with a handoff as well
 * (handoff.h): where the cores moved while a runner was measured, its row is about the rounds of one state, the one with
 * more rounds; all its timings stay.
 *
 * A runner leaves the rounds when it has `samples` samples, when the 95 % interval of its median reaches no further than
 * ci_percent to either side (at least CI_SAMPLES samples; so the interval is a little too narrow: the column stop_reason
 * tells; it is looked at each time that n has grown by a tenth), or when it has taken max_time_s of wall time: its calls,
 * the readings around them, its share of what each round measures for all. At least one sample is always taken.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_MEASURE_H
#define TRIPASS_MEASURE_H

#include "handoff.h"
#include "leftover.h"
#include "noise.h"
#include "runner.h"

/* A timed call, or the mean of inner_reps. */
struct timing {
    int round, order;
    double seconds;
    double handoff_ns; /* of its round */
};

/* What is measured of a runner. */
struct series {
    struct runner *runner;
    struct timing *timing; /* n of them; room for `samples` */
    int n, inner_reps;
    int next_look;           /* the n at which the interval's width is looked at again */
    double spent_s;          /* wall time of its calls and readings, and its share of the rounds' probes */
    const char *stop_reason; /* "samples", "ci" or "max_time" */
    struct noise noise;
    struct handoff_states handoff; /* handoff_keeps: which timings the row is about */
    char left
        [128]; /* what it left behind in its process in a timed call, which ends its samples; "": nothing */
    double sgd_s; /* upd: median time of w -= lr * gradient on the native gradient; else NAN */
};

struct measurement {
    enum isa isa;
    int threads, samples;
    double ci_percent, max_time_s, lr;
    bool cold;
    uint64_t seed;
    struct leftover *before; /* its process, as it is to be */
    const int *pu;           /* OS indices of the team's CPUs */
    double *best_flops;      /* the best FMA ceiling known; raised by a better one */
    double handoff_ns;       /* of the round that runs */
    double peak_flops;       /* result: median of the rounds' FMA ceilings */
};

/* Runners are allocated and hold imported inputs; `timing` has room for measurement->samples. Fills in the rest of
 * each series and measurement->peak_flops. */
void measure_group(struct measurement *measurement, struct series *series, int count);

/* The wall time that a runner is timed for at the least: all calls up to and with its first sample; call_s: of one. */
double measure_least_s(double call_s);

#endif
