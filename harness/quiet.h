/* Is anybody else working on this machine? Asked before a study, on the CPUs that it will use, while it sleeps itself.
 *
 * A machine is called busy if in the time of the look (QUIET_LOOK_S) other processes ran on our CPUs, or the hypervisor ran
 * other machines on them, for more than 5 % of the CPUs' time. Linux counts both in ticks of 10 ms, so on two CPUs a look
 * sees 100 ticks, and 5 of them: a daemon that wakes for a moment is below, a process that works is 50 or 100 ticks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_QUIET_H
#define TRIPASS_QUIET_H

#include <stdbool.h>
#include <stddef.h>

#define QUIET_LOOK_S 0.5

/* Fractions of the time of our CPUs, and the load average of the last minute; 0 where the system does not tell. */
struct quiet {
    double others, stolen, load;
};

/* Takes QUIET_LOOK_S. root: prefix of /proc (a fake tree in tests); pu: OS indices of our CPUs. */
struct quiet quiet_look(const char *root, const int *pu, int count);
bool quiet_is(const struct quiet *quiet);

/* Looks until it is quiet or `patience_s` is over, and says on stderr if the machine is busy. Returns the last look. */
struct quiet quiet_wait(const int *pu, int count, double patience_s);

#endif
