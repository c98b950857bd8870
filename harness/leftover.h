/* What an implementation leaves behind in its process: it runs in one that others share, so whatever it changes there it
 * must change back. Looked at on every thread of the team: the rounding mode and how tiny numbers are treated, the CPUs it
 * may run on, its scheduling class and niceness; and of the process its resource limits.
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
 * False: something cannot be put back, so the process is no good for others. */
bool leftover_mend(const struct leftover *before, char *text, size_t size);

#endif
