/* Taking up a study where it was killed. A point is done if its row in points.csv is complete and samples.csv holds all
 * of its samples; what else the files hold (a torn last line, samples and phases without their point, points whose worker
 * was ended from outside) is taken out of them. A file that holds anything that no killed study leaves is refused as it is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RESUME_H
#define TRIPASS_RESUME_H

#include "board.h"

enum resume_state { RESUME_BEGINNING, RESUME_ROWS, RESUME_IMPOSSIBLE };

/* Whether dir holds rows of points. It does not if points.csv is absent, empty or no more than its header, torn or not:
 * the study can as well begin. RESUME_IMPOSSIBLE: it cannot be read; the line that says why is printed then. */
enum resume_state resume_look(const char *dir);

/* Marks what is done on the board and cleans dir's points.csv, samples.csv and, if the study has one, phases.csv. Returns how many points are done, and in
 * *failed whether some are FAIL, CRASH or TIMEOUT. -1: not possible; the line that says why is printed then. */
int resume_load(const struct board *board, const char *dir, bool *failed);

#endif
