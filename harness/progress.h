/* One line about how far a study is and when it will end: rewritten in place on a terminal, else a line at most every
 * 10 seconds. Always to stderr, by the supervisor, whose core the workers do not own while they time.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PROGRESS_H
#define TRIPASS_PROGRESS_H

#include <stdbool.h>

struct progress {
    int points, done;
    double start, shown; /* clock_now() of the beginning, of the latest line */
    double deadline;     /* of the budget; 0: none */
    bool terminal;
};

void progress_start(struct progress *progress, int points, double deadline);

/* One more point is done; text says which. */
void progress_step(struct progress *progress, const char *text);

/* Takes the line away, before something else is printed. */
void progress_clear(const struct progress *progress);

#endif
