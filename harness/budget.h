/* A budget of wall time: who gets how much of it, and whom it cannot pay. It is kept by taking fewer samples first, then
 * without the slowest implementations, whose rows are SKIP and say what they would take, then by fewer repetitions.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BUDGET_H
#define TRIPASS_BUDGET_H

#include "board.h"
#include "group.h"

/* What a point takes at the least (checked, and called as often as timing needs) on a machine of middling speed. */
double budget_standard_s(const struct conv_problem *problem, int threads);

/* What a group may take of the time from now to the deadline: in proportion to its work, among all that is left of
 * this and later workers; at_most_s: among what is left of this repetition, but no more than twice its part, so that
 * what is dear cannot leave later repetitions without time, and no less than a hundredth of all: the oracle of a tiny
 * layer exceeds that layer's part. Without a deadline both are HUGE_VAL. */
struct share {
    double time_s, at_most_s;
};
struct share budget_share(const struct board *board, int rep, int thread_index, int group, double deadline);

/* In a later repetition, what is unknown is guessed from the first: no oracle for all, one run in a check instead of
 * three. */
void budget_guess(const struct board *board, int rep, int thread_index, enum conv_tensor output);

/* The implementations from the cheapest to the dearest, as far as known: order[] has room for all. */
void budget_order(const struct group *group, int order[]);

/* Pays for the point of a planned runner out of *left_s: true if it may run, else its row and the page say that it may
 * not. What it costs is known from its latest point of that pass; where that is unknown or too much, from a pilot run on
 * a corner of this layer. */
bool budget_pays(const struct group *group, const struct runner *runner, struct point *point, double *left_s);

/* False, likewise, if it is plain without a plan and a pilot that it cannot be paid. */
bool budget_may_pay(const struct group *group, int impl, struct point *point, double left_s);

#endif
