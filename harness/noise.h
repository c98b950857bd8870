/* Was something else going on while a point was measured? Read without privilege from what Linux counts, and judged by
 * limits with a derivation. A flag says "look again", never "drop": every row stays.
 *
 * All limits follow from one aim: a disturbance may move the median by 1 %, half of the interval's half width that the
 * stop rule strives for. So time that was lost counts if it is more than 1 % of the time of the calls, and
 * what hits single calls counts only if so many were hit that they can make up an end of the median's interval: as
 * many as its rank (stats_interval_rank), or one below 6 calls.
 *
 *     flag         when
 *     steal        the hypervisor ran somebody else on our CPUs for > 1 % of the team's time, and >= 2 ticks of 10 ms
 *     throttled    the cgroup's quota stopped us for > 1 % of the time
 *     preempted    calls with involuntary context switches, 3 ms each (a time slice on 8 CPUs and more) > 1 %
 *     page-faults  calls with minor faults, 0.2 ms each (clearing a huge page at 10 GB/s) > 1 %
 *     disk         calls with major faults, 10 ms each > 1 %
 *     slow-clock   the rounds' median FMA probe below 90 % of the best known of the run: three steps of 100 MHz at 3 GHz
 *     drift        Spearman's rank correlation of time and round: |rho| sqrt(n-1) > 3.29, which happens to less than 1
 *                  in 1000 undisturbed series, and the later half's median differs by > 1 % from the earlier's
 *
 * Steal and throttling count time, whoever was hit; switches and faults are the whole team's (RUSAGE_SELF).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_NOISE_H
#define TRIPASS_NOISE_H

#include <stdbool.h>
#include <stddef.h>

enum noise_kind {
    NOISE_STEAL,        /* seconds, summed over our CPUs */
    NOISE_THROTTLED,    /* seconds */
    NOISE_SWITCHES,     /* involuntary context switches */
    NOISE_MINOR_FAULTS, /* page faults without disk */
    NOISE_MAJOR_FAULTS,
    NOISE_KINDS
};

/* What to watch: the CPUs of a team. root: prefix of every path read (a fake tree in tests). */
struct noise_watch {
    const char *root;
    const int *pu; /* OS indices */
    int threads;
};

/* Everything so far: differences matter. What cannot be read is 0. */
void noise_read(const struct noise_watch *watch, double counter[NOISE_KINDS]);

/* What was seen in the calls of a series. */
struct noise {
    double time_s;            /* wall time that the counters cover */
    double sum[NOISE_KINDS];  /* of the counters */
    int samples[NOISE_KINDS]; /* that had any */
    double clock_pct;         /* median FMA probe of the rounds, percent of the best of the run */
    double
        drift_rho; /* Spearman's rank correlation of time and round; NAN below 3 samples or without spread */
    double drift_pct; /* median of the later half against that of the earlier half */
};

/* Adds a sample of `seconds`, between two readings. */
void noise_add(struct noise *noise, const double before[NOISE_KINDS], const double after[NOISE_KINDS],
               double seconds);

/* Fills in the drift of n times in the order in which they were taken. */
void noise_set_drift(struct noise *noise, const double *seconds, int n);

/* The flags of a series of n samples by a team of `threads`, a space between them; "" if clean. Returns text. */
char *noise_flags(const struct noise *noise, int n, int threads, char *text, size_t size);

#endif
