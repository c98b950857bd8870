/* Was something else going on while a point was measured? Read without privilege from what Linux counts, and judged by
 * limits with a derivation. A flag says "look again", never "drop": every row stays.
 *
 * All limits follow from one aim: a disturbance may move the median by 1 %, half of the interval's half width that the
 * stop rule strives for. What can be told call by call counts where a call lost more than 1 % of its time, and then only if
 * so many were hit that they can make up an end of the median's interval: as many as its rank (stats_interval_rank),
 * or one below 6 calls. What is counted too coarsely for that counts if it is 1 % of the time of all calls.
 * Time lost by one thread is time lost by the call, because the others wait for it.
 *
 *     flag         when
 *     steal        the hypervisor ran somebody else on our CPUs: > 1 % of the time, and >= 2 ticks of 10 ms
 *     throttled    the cgroup's quota stopped us: > 1 % of the time
 *     preempted    calls in which threads stood in a run queue (/proc/self/task/N/schedstat; where the kernel does not keep
 *                  it, 3 ms for each involuntary context switch, a time slice on 8 CPUs and more)
 *     page-faults  calls with minor faults, 0.2 ms each (clearing a huge page at 10 GB/s)
 *     disk         calls with major faults, 10 ms each
 *     slow-clock   the rounds' median FMA probe below 90 % of the best known of the run: three steps of 100 MHz at 3 GHz
 *     moved        the cores came nearer or went away from each other (handoff.h): of the rounds' handoffs the r-th largest
 *                  is more than 2.5 times the r-th smallest, r being the rank of the median's interval, or
 *                  one below 6 rounds; fewer than 1 in 1000 series of one state have it
 *     drift        Spearman's rank correlation of time and round: |rho| sqrt(n-1) > 3.29, which happens to less than 1
 *                  in 1000 undisturbed series, and the later half's median differs by > 1 % from the earlier's
 *
 *     above-ceiling  faster than the best FMA probe of the run allows by 10 %, for an implementation that saves no more
 *                  multiplications than it says (conv_impl.saving, and taps in the padding): the probe was disturbed, or
 *                  not all was computed
 *
 * All counters are the whole process's, the team and the library's threads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_NOISE_H
#define TRIPASS_NOISE_H

#include <stdbool.h>
#include <stddef.h>

enum noise_kind {
    NOISE_STEAL,        /* seconds, summed over our CPUs */
    NOISE_THROTTLED,    /* seconds */
    NOISE_WAIT,         /* seconds that threads could run and did not, summed over them */
    NOISE_SWITCHES,     /* involuntary context switches: to be shown, without a flag */
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
    int samples[NOISE_KINDS]; /* that lost more than 1 % of their time */
    bool moved;               /* handoff_judge */
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

/* The flags of a series of n samples, a space between them; "" if clean. Returns text. */
char *noise_flags(const struct noise *noise, int n, char *text, size_t size);

#endif
