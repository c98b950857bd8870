/* A budget of wall time. It is kept by taking fewer samples first; then by leaving out, for good, repetitions beyond the
 * fifth; whole implementations, the dearest first, but never the last of the library's nor the last of the others;
 * repetitions beyond the third; layers, the dearest first; thread counts. So what is left has all its processes and can be compared. Rows that are left out are SKIP and say so.
 *
 * What a point takes at the least, its cost, is known once it was measured; else it is guessed from the latest point of
 * the same implementation, or from a pilot run on a corner of the layer. Before each group the costs of all points that are
 * still to come are summed up; if they exceed 70 % of the time that is left, something more is left out. The rest of the time
 * is for more samples. Costs that turn out higher than expected are why something may be left out after the first group; it
 * then has rows of one process, to which verdict.py gives no interval.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BUDGET_H
#define TRIPASS_BUDGET_H

#include "board.h"
#include "group.h"

/* Fills in what the group, which is the one that the page names, may take from now to the deadline (0: none): time_s, left_s,
 * expected_s (0 without a deadline), and who is left out. Makes a pilot run of each implementation that is not known at all. */
void budget_share(const struct board *board, int thread_index, struct group *group, double deadline);

/* True if the point may be planned, else its row and the page say that it cannot be paid. */
bool budget_may_pay(const struct group *group, int impl, struct point *point);

/* True if a planned runner's point may be measured, likewise: its memory is known now. */
bool budget_pays(const struct group *group, const struct runner *runner, struct point *point);

#endif
