/* Places for threads, from hwloc. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "topology.h"

#include "cgroup.h"

#include <ctype.h>
#include <hwloc.h>
#include <hwloc/cpukinds.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The union of the OpenMP places, or NULL if the user has set none. */
static hwloc_bitmap_t omp_places(void)
{
    const int places = omp_get_num_places();
    if (places < 1)
        return NULL;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (int place = 0; place < places; place++) {
        int count = omp_get_place_num_procs(place), cpu[count > 0 ? count : 1];
        omp_get_place_proc_ids(place, cpu);
        for (int i = 0; i < count; i++)
            hwloc_bitmap_set(set, (unsigned)cpu[i]);
    }
    return set;
}

static bool mask_set(hwloc_const_bitmap_t cpus)
{
    cpu_set_t mask;
    CPU_ZERO(&mask);
    for (int cpu = hwloc_bitmap_first(cpus); cpu >= 0; cpu = hwloc_bitmap_next(cpus, cpu))
        if (cpu < CPU_SETSIZE)
            CPU_SET(cpu, &mask);
    return !sched_setaffinity(0, sizeof mask, &mask);
}

/* The CPUs of the i-th kind and its CoreType; NULL if it names none. Kinds that differ only by frequency (favored
 * cores) share a CoreType or have none. */
static const char *core_type(hwloc_topology_t hwloc, int i, hwloc_bitmap_t cpus)
{
    struct hwloc_info_s *infos;
    unsigned count;
    if (hwloc_cpukinds_get_info(hwloc, (unsigned)i, cpus, NULL, &count, &infos, 0))
        return NULL;
    for (unsigned n = 0; n < count; n++)
        if (!strcmp(infos[n].name, "CoreType"))
            return infos[n].value;
    return NULL;
}

/* On a hybrid machine, takes every core away that is not of the most powerful type among them. */
static void keep_fastest_type(hwloc_topology_t hwloc, hwloc_bitmap_t cpus)
{
    hwloc_bitmap_t kind = hwloc_bitmap_alloc();
    const char *fastest = NULL;
    for (int i = hwloc_cpukinds_get_nr(hwloc, 0) - 1; i >= 0; i--) { /* ranked by rising power */
        const char *type = core_type(hwloc, i, kind);
        if (!type || !hwloc_bitmap_intersects(cpus, kind))
            continue;
        if (!fastest)
            fastest = type;
        else if (strcmp(type, fastest))
            hwloc_bitmap_andnot(cpus, cpus, kind);
    }
    hwloc_bitmap_free(kind);
}

static int taken_below(hwloc_obj_t obj, hwloc_const_bitmap_t taken)
{
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    hwloc_bitmap_and(set, obj->cpuset, taken);
    const int count = hwloc_bitmap_weight(set);
    hwloc_bitmap_free(set);
    return count;
}

/* Down the tree to a hardware thread that is left, each time into the first child that has one; or, to spread, into
 * the one of which fewest are taken. */
static hwloc_obj_t next_pu(hwloc_obj_t obj, hwloc_const_bitmap_t left, hwloc_const_bitmap_t taken,
                           bool spread)
{
    while (obj->arity) {
        hwloc_obj_t best = NULL;
        int fewest = INT_MAX;
        for (unsigned i = 0; i < obj->arity; i++) {
            hwloc_obj_t child = obj->children[i];
            const int count = spread ? taken_below(child, taken) : 0;
            if (hwloc_bitmap_intersects(child->cpuset, left) && count < fewest) {
                best = child;
                fewest = count;
            }
        }
        obj = best;
    }
    return obj;
}

/* By policy: compact or spread. On a hybrid machine only cores of the most powerful type. A cgroup may give one hardware
 * thread of a core, or none. */
static void place_by_tree(struct topology *topology, bool spread, bool smt)
{
    hwloc_bitmap_t left = hwloc_bitmap_dup(topology->allowed), taken = hwloc_bitmap_alloc();
    hwloc_bitmap_and(left, left, hwloc_get_root_obj(topology->hwloc)->cpuset);
    keep_fastest_type(topology->hwloc, left);
    while (topology->pu_count < CORES_MAX && !hwloc_bitmap_iszero(left)) {
        hwloc_obj_t pu = next_pu(hwloc_get_root_obj(topology->hwloc), left, taken, spread);
        /* A machine that hides its cores still shows hardware threads. */
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology->hwloc, HWLOC_OBJ_CORE, pu);
        hwloc_bitmap_set(taken, pu->os_index);
        hwloc_bitmap_andnot(left, left, !smt && core ? core->cpuset : pu->cpuset);
        topology->pu[topology->pu_count++] = (int)pu->os_index;
    }
    hwloc_bitmap_free(left);
    hwloc_bitmap_free(taken);
}

/* "3", "4-7", and so on behind commas, in the order given. */
static const char *place_by_list(struct topology *topology, const char *list)
{
    hwloc_bitmap_t left = hwloc_bitmap_dup(topology->allowed);
    const char *reason = NULL;
    for (char *end = (char *)list; !reason && *list; list = end + (*end == ',')) {
        const long first = strtol(list, &end, 10), last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        if (!isdigit((unsigned char)*list) || (*end && (*end != ',' || !end[1])) || last < first)
            reason = "neither compact, spread nor a list of CPU numbers";
        for (long cpu = first; !reason && cpu <= last; cpu++) {
            if (cpu > INT_MAX || !hwloc_bitmap_isset(left, (unsigned)cpu) || topology->pu_count == CORES_MAX)
                reason = "a CPU of the list is twice in it, or this process may not use it";
            else
                topology->pu[topology->pu_count++] = (int)cpu;
            hwloc_bitmap_clr(left, (unsigned)cpu);
        }
    }
    hwloc_bitmap_free(left);
    return reason;
}

const char *topology_place(struct topology *topology, const struct placement *placement)
{
    const char *policy = placement->policy ? placement->policy : "compact";
    const bool spread = !strcmp(policy, "spread");
    topology->pu_count = 0;
    if (!spread && strcmp(policy, "compact"))
        return place_by_list(topology, policy);
    place_by_tree(topology, spread, placement->smt);
    return topology->pu_count ? NULL : "hwloc finds no core that this process may use";
}

bool topology_interleave(const struct topology *topology)
{
    return !hwloc_set_membind(topology->hwloc, hwloc_topology_get_allowed_nodeset(topology->hwloc),
                              HWLOC_MEMBIND_INTERLEAVE, HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
}

static size_t last_level_bytes(hwloc_topology_t hwloc)
{
    size_t bytes = 0;
    for (hwloc_obj_type_t type = HWLOC_OBJ_L3CACHE; bytes == 0 && type >= HWLOC_OBJ_L1CACHE; type--)
        for (hwloc_obj_t cache = NULL; (cache = hwloc_get_next_obj_by_type(hwloc, type, cache));)
            bytes += cache->attr->cache.size;
    return bytes;
}

const char *topology_load(struct topology *topology)
{
    const unsigned long flags =
        HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM | HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING;
    *topology = (struct topology){.quota = cgroup_cpu_quota("")};
    if (hwloc_get_api_version() >> 16 != HWLOC_API_VERSION >> 16)
        return "the hwloc library is of another major version than the one this program was built with";
    cpu_set_t bound;
    hwloc_bitmap_t places = omp_places();
    bool rebind = places && !sched_getaffinity(0, sizeof bound, &bound) && mask_set(places);
    bool loaded = !hwloc_topology_init(&topology->hwloc) &&
                  !hwloc_topology_set_flags(topology->hwloc, flags) && !hwloc_topology_load(topology->hwloc);
    if (rebind)
        sched_setaffinity(0, sizeof bound, &bound);
    hwloc_bitmap_free(places);
    if (!loaded)
        return "hwloc cannot read this machine's topology";
    topology->allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology->hwloc));
    topology->cache_bytes = last_level_bytes(topology->hwloc);
    return topology_place(topology, &(struct placement){0});
}

void topology_free(struct topology *topology)
{
    hwloc_bitmap_free(topology->allowed);
    hwloc_topology_destroy(topology->hwloc);
}

void topology_unbind(const struct topology *topology)
{
    hwloc_set_cpubind(topology->hwloc, topology->allowed, HWLOC_CPUBIND_THREAD);
}

size_t topology_cache_share(const struct topology *topology, int level, int threads)
{
    const hwloc_obj_type_t type = (hwloc_obj_type_t)(HWLOC_OBJ_L1CACHE + level - 1);
    size_t least = 0;
    for (hwloc_obj_t cache = NULL; (cache = hwloc_get_next_obj_by_type(topology->hwloc, type, cache));) {
        size_t sharers = 0;
        for (int i = 0; i < threads && i < topology->pu_count; i++)
            sharers += hwloc_bitmap_isset(cache->cpuset, (unsigned)topology->pu[i]) != 0;
        const size_t share = sharers ? cache->attr->cache.size / sharers : 0;
        if (share && (!least || share < least))
            least = share;
    }
    return least;
}

int topology_default_threads(const struct topology *topology)
{
    double threads = fmin(topology->pu_count, floor(topology->quota));
    return threads < 1 ? 1 : (int)threads;
}

bool topology_places(const struct topology *topology, char *text, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < topology->pu_count && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s{%d}", i ? "," : "", topology->pu[i]);
    return at < size;
}

char *topology_allowed_text(const struct topology *topology, char *text, size_t size)
{
    hwloc_bitmap_list_snprintf(text, size, topology->allowed);
    return text;
}

bool topology_pinned(const struct topology *topology, int threads)
{
    int right = 0;
#pragma omp parallel num_threads(threads) reduction(+ : right)
    {
        hwloc_bitmap_t set = hwloc_bitmap_alloc();
        const int thread = omp_get_thread_num();
        const int pu = thread < topology->pu_count ? topology->pu[thread] : -1;
        right = !hwloc_get_cpubind(topology->hwloc, set, HWLOC_CPUBIND_THREAD) &&
                hwloc_bitmap_weight(set) == 1 && hwloc_bitmap_first(set) == pu &&
                !hwloc_get_last_cpu_location(topology->hwloc, set, HWLOC_CPUBIND_THREAD) &&
                hwloc_bitmap_first(set) == pu;
        hwloc_bitmap_free(set);
    }
    return right == threads;
}
