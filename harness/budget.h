/* A budget of wall time: who gets how much of it, and whom it cannot pay. It is kept by taking fewer samples first, then
 * without the dearest points of the whole study, whose rows are SKIP and say what they would take.
 *
 * What a point takes at the least, its cost, is known once it was measured; else it is guessed from the latest point of
 * the same implementation, or from a pilot run on a corner of the layer. Before each group, the costs of all points that
 * are still to come are put in order, and 70 % of the time that is left pays from the cheapest on: what the last one
 * costs is the price that no point may exceed. The rest is for more samples. A point that was measured in the first process
 * is measured in the later ones, too, whatever the price, as long as any time is left.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BUDGET_H
#define TRIPASS_BUDGET_H

#include "board.h"
#include "group.h"

/* Fills in what the group, which is the one that the page names, may take from now to the deadline (0: none): time_s,
 * dearest_s and expected_s (0 without a deadline). Makes a pilot run of each implementation that is not known at all. */
void budget_share(const struct board *board, int thread_index, struct group *group, double deadline);

/* True if the point may be planned, else its row and the page say that it cannot be paid. An implementation that other
 * layers make look too dear gets a pilot run first. */
bool budget_may_pay(const struct group *group, int impl, struct point *point);

/* True if a planned runner's point may be measured, likewise: its memory is known now. */
bool budget_pays(const struct group *group, const struct runner *runner, struct point *point);

#endif
