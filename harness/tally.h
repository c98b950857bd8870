/* What a study's points say of its worth, counted while they come: how many were disturbed, by what, and how far apart the
 * two times of each A/A pair were.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TALLY_H
#define TRIPASS_TALLY_H

#include "record.h"

enum { TALLY_FLAGS = 12 };

struct tally {
    const struct study *study;
    int points, flagged; /* with a time; of these, with a flag */
    struct {
        char name[16];
        int count;
    } flag[TALLY_FLAGS];
    double *median_s; /* of each implementation in the group and process at hand */
    int group, process;
    double *apart; /* |ln ratio| of each pair */
    int pairs, room;
};

/* False: no memory. */
bool tally_open(struct tally *tally, const struct study *study);
void tally_close(struct tally *tally);

/* Counts a point; median_s: its time, NAN if it has none. process: any number that differs between processes. */
void tally_add(struct tally *tally, int process, int group, int impl, const char *flags, double median_s);

/* Below 1 + floor no difference means anything: 95 % of the pairs are nearer together. NAN without pairs. */
double tally_floor(struct tally *tally);

/* One line on stderr: "217 of 679 points were disturbed (preempted 200, ...); noise floor 31 %: ..."; nothing if nothing
 * was disturbed and there are no pairs. */
void tally_say(struct tally *tally);

#endif
