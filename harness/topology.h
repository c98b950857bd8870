/* Where threads may run: the cores that cgroup cpusets and taskset leave us, from hwloc, in the order in which a team
 * takes them; and the CPU time that cgroup quotas grant. The OpenMP runtime does the binding (OMP_PLACES); here the
 * places are chosen and the result is read back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TOPOLOGY_H
#define TRIPASS_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

struct hwloc_topology;
struct hwloc_bitmap_s;

enum { CORES_MAX = 4096 };

/* Which hardware threads, and in which order. */
struct placement {
    const char
        *policy; /* "compact" (or NULL): neighbors share caches; "spread": a team of any size is divided as
                         * evenly as can be among packages, caches, cores; or a list of OS indices, "0,2,8-11" */
    bool smt;    /* all hardware threads of a core, not only the first; a list needs none */
};

struct topology {
    struct hwloc_topology *hwloc;
    struct hwloc_bitmap_s *allowed; /* CPUs that this process may use */
    int pu[CORES_MAX];              /* OS indices of the hardware threads to use, one a place */
    int pu_count;
    double quota;       /* CPUs' worth of time that the cgroups grant; INFINITY: no limit */
    size_t cache_bytes; /* last-level cache, summed over the allowed part of the machine */
};

/* Fills *topology for this process, placed compactly without SMT. Call it before the first OpenMP region. Where OMP_PLACES or the like is set (by
 * the user, or for a worker), libgomp has bound the initial thread before main: the allowed CPUs are then the union
 * of the places, not the mask of this thread. So a worker sees what its supervisor saw. Returns NULL or a static
 * reason. */
const char *topology_load(struct topology *topology);

/* Chooses pu again. Returns NULL or a static reason, what is wrong with the list. */
const char *topology_place(struct topology *topology, const struct placement *placement);

void topology_free(struct topology *topology);

/* Gives the calling thread all allowed CPUs: what a process needs before it becomes a worker, whose OpenMP runtime
 * drops places outside the mask that it finds. */
void topology_unbind(const struct topology *topology);

/* Lets this thread's memory, and that of the threads which it starts later, lie on all NUMA nodes in turn, not on the node
 * of the thread that touches it first. Returns false, with errno, if the system refuses. */
bool topology_interleave(const struct topology *topology);

/* Bytes of cache of that level (1 to 3) that a thread has to itself, where it has least, when a team of `threads` runs on
 * the first places; 0 if there is no such cache. */
size_t topology_cache_share(const struct topology *topology, int level, int threads);

/* min(places, floor(quota)), at least 1. More threads than the quota run, then stand still to the end of the
 * period: 45 times slower has been reported. */
int topology_default_threads(const struct topology *topology);

/* The value of OMP_PLACES: "{0},{2},...", all of pu. With OMP_PROC_BIND=close a team of n runs
 * on the first n. Returns false if size is too small. */
bool topology_places(const struct topology *topology, char *text, size_t size);

/* Allowed CPUs as a list, "0-3,8". Returns text. */
char *topology_allowed_text(const struct topology *topology, char *text, size_t size);

/* True if each thread of a team of `threads` is bound to exactly its place and was last seen running there.
 * Runs an OpenMP region. False without places. */
bool topology_pinned(const struct topology *topology, int threads);

#endif
