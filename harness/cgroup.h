/* What Linux control groups, v1 or v2, leave this process: the tightest limit along the whole chain from its own
 * group to the root. root: prefix of every path read ("" on a real machine, a directory with a fake tree in a
 * test). A file that is missing or unreadable limits nothing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CGROUP_H
#define TRIPASS_CGROUP_H

/* CPUs' worth of time (quota / period), INFINITY if unlimited. */
double cgroup_cpu_quota(const char *root);

/* Bytes still to be had (limit - in use, page cache not counted as use), INFINITY if unlimited. */
double cgroup_memory_left(const char *root);

/* Seconds so far for which a group of the chain stood still because its quota was used up; 0 if nobody counts them. */
double cgroup_throttled_seconds(const char *root);

#endif
