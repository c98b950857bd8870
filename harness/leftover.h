/* What an implementation leaves behind in its process: it runs in one that others share, so whatever it changes there it
 * must change back. Looked at on every thread of the team: the rounding mode and how tiny numbers are treated, the CPUs it
 * may run on, its scheduling class and niceness; and of the process its resource limits, interval timers, OpenMP's
 * settings, and threads that go on running (those that sleep, a library's, disturb nobody).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_LEFTOVER_H
#define TRIPASS_LEFTOVER_H

#include <stdbool.h>
#include <stddef.h>

struct leftover;

/* How things are now, for a team of so many threads. NULL: no memory. To be freed with leftover_free. */
struct leftover *leftover_look(int threads);
void leftover_free(struct leftover *before);

/* Puts everything back as it was, and says in `text` what had changed ("rounding mode, niceness"); "" if nothing had.
 * False: something cannot be put back, so the process is no good for others. Takes some 10 us. */
bool leftover_mend(struct leftover *before, char *text, size_t size);

/* The same after a call into `impl`, true if nothing had changed. If something cannot be put back, it says so on stderr and
 * ends the process by abort(): the supervisor knows whom the page names, and starts another worker. */
bool leftover_none(struct leftover *before, const char *impl, char *text, size_t size);

#endif
