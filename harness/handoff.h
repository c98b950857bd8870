/* How far apart are the cores of a team? A cache line goes from one core to another and back: the handoff, in
 * nanoseconds. Barriers, locks and all data that one thread writes and another reads take as many of them as they need.
 *
 * The host of a virtual machine moves its virtual cores, and the handoff with them. Seen in 15183 rounds of 33 busy minutes
 * on two cores of an EPYC (Zen 3), ns; the cores moved 90 times:
 *
 *             least     1 %     median     99 %     most
 *     near       72      87        110      132      158
 *     far       322     359        448      822      957
 *
 * and nothing between. On two cores of a Xeon near was 51 to 62, far 310 to 740. So there are two states:
 *
 *     near    at most 2.5 times the smallest
 *     far     more
 *
 * 2.5 = sqrt(far / near of the Xeon, 310 / 51), in the middle between what is one state and what is two; on the EPYC 2.5
 * times the median of near is 275, and 2.5 times its 1 % is 217, both between the states. "The smallest" is
 *
 *     of the rounds of a point    the r-th smallest of n, r = rank of the median's interval (stats_interval_rank; 1 below
 *                                 6 rounds), because r rounds can move that interval and fewer cannot;
 *     of the points of a study    the smallest median (column handoff_ns) of its points with the same thread count.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_HANDOFF_H
#define TRIPASS_HANDOFF_H

#include <stdbool.h>

enum { HANDOFF_THREADS = 64 }; /* of a matrix at most */

/* The mean of the handoffs between thread 0 and 1, 1 and 2, ... of a team: as long as a line takes to visit all of its
 * threads and to come back, divided by the steps. Takes 0.01 to 0.07 ms beside fork and join, and ends after 2 ms
 * whatever happens. NAN for one thread, or if a thread of the team did not run. */
double handoff_measure(int threads);

/* Every thread with every other: ns[i][j] between the team's threads i * step and j * step, NAN for i == j and for what
 * could not be measured. step: 1 up to HANDOFF_THREADS threads, else as many as it takes. */
struct handoff_matrix {
    int size, step;
    double ns[HANDOFF_THREADS][HANDOFF_THREADS];
};

/* Takes some 0.1 s for 64 threads, and ends after a second. Counts *steps up as it goes on. */
void handoff_measure_matrix(struct handoff_matrix *matrix, int threads, volatile unsigned long *steps);

/* What the handoffs of a point's rounds say. */
struct handoff_states {
    double ns;       /* median of the rounds that handoff_keeps; NAN if none is known */
    double spread;   /* the r-th largest / the r-th smallest; NAN if fewer than 2 r rounds are known */
    double limit_ns; /* near: up to here */
    bool moved;      /* spread > 2.5: so many rounds in each state that the median's interval is of both */
    bool far; /* the state with more rounds, which a row is about if it moved; near if there is a tie */
};

/* Of n rounds. NAN: unknown. Sorts ns, the unknown ones last. */
struct handoff_states handoff_judge(double *ns, int n);

/* Whether a round belongs to those that the row is about: all if nothing moved, else the known ones of one state. */
bool handoff_keeps(const struct handoff_states *states, double ns);

#endif
