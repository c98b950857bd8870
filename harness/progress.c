/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include "clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double TERMINAL_S = 0.1, PLAIN_S = 10;

void progress_start(struct progress *progress, int points, double deadline)
{
    const char *term = getenv("TERM");
    *progress = (struct progress){.points = points,
                                  .start = clock_now(),
                                  .shown = clock_now(),
                                  .deadline = deadline,
                                  .terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb")};
}

/* Points differ by orders of magnitude, so an even pace is a guess; a budget is a promise. */
static double seconds_left(const struct progress *progress, double now)
{
    const double pace = (now - progress->start) / progress->done * (progress->points - progress->done);
    return progress->deadline > 0 ? fmin(pace, fmax(progress->deadline - now, 0)) : pace;
}

void progress_step(struct progress *progress, const char *text)
{
    const double now = clock_now();
    const bool last = ++progress->done == progress->points;
    if (!last && now - progress->shown < (progress->terminal ? TERMINAL_S : PLAIN_S))
        return;
    progress->shown = now;
    const int left = (int)ceil(seconds_left(progress, now));
    fprintf(stderr, "%s[%d/%d] %.70s | %d:%02d left%s", progress->terminal ? "\r\033[K" : "", progress->done,
            progress->points, text, left / 60, left % 60, progress->terminal && !last ? "" : "\n");
}

void progress_clear(const struct progress *progress)
{
    if (progress->terminal)
        fputs("\r\033[K", stderr);
}
