/* Taking up a study where it was killed. A point is done if its row in points.csv is complete; what else the files hold
 * (a torn last line, samples and phases without their point, points whose worker was killed from outside) is taken out of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RESUME_H
#define TRIPASS_RESUME_H

#include "board.h"

/* True if dir holds no complete row of points, so that the study can as well begin. */
bool resume_is_beginning(const char *dir);

/* Marks what is done on the board and cleans dir's points.csv, samples.csv and, if the study has one, phases.csv. Returns how many points are done, and in
 * *failed whether some are FAIL, CRASH or TIMEOUT. -1: not possible; the line that says why is printed then. */
int resume_load(const struct board *board, const char *dir, bool *failed);

#endif
