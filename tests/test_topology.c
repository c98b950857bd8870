/* Places, limits and bindings: synthetic machines, fake cgroup trees, and this machine for real.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cgroup.h"
#include "topology.h"

#include <ftw.h>
#include <hwloc.h>
#include <hwloc/cpukinds.h>
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- synthetic machines ---- */

static hwloc_topology_t synthetic(const char *description)
{
    hwloc_topology_t hwloc;
    assert_int_equal(hwloc_topology_init(&hwloc), 0);
    assert_int_equal(hwloc_topology_set_synthetic(hwloc, description), 0);
    assert_int_equal(hwloc_topology_load(hwloc), 0);
    return hwloc;
}

/* The CPUs chosen on a described machine of which those in `allowed` may be used ("" is all), in their order. */
static void expect_placed(const char *description, const char *allowed, struct placement placement,
                          const char *expected)
{
    static struct topology topology;
    char text[256] = "";
    topology.hwloc = synthetic(description);
    topology.allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology.hwloc));
    if (*allowed)
        hwloc_bitmap_list_sscanf(topology.allowed, allowed);
    const char *reason = topology_place(&topology, &placement);
    for (int i = 0; i < topology.pu_count && !reason; i++)
        sprintf(text + strlen(text), "%s%d", i ? " " : "", topology.pu[i]);
    assert_string_equal(reason ? reason : text, expected);
    topology_free(&topology);
}

static void expect_cores(const char *description, const char *allowed, const char *expected)
{
    expect_placed(description, allowed, (struct placement){.policy = "compact"}, expected);
}

static void one_hardware_thread_a_core(void **state)
{
    (void)state;
    expect_cores("pack:1 core:4 pu:1", "", "0 1 2 3");
    expect_cores("pack:1 core:4 pu:2", "", "0 2 4 6");
    expect_cores("pack:2 numa:1 core:2 pu:2", "", "0 2 4 6");
    /* numbered as Linux often does: all first threads, then all second ones */
    expect_cores("pack:2 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)", "", "0 1 2 3");
}

static void only_allowed_ones(void **state)
{
    (void)state;
    expect_cores("pack:1 core:4 pu:2", "1,4-5", "1 4"); /* of core 0 only its second thread */
    expect_cores("pack:1 core:4 pu:2", "6", "6");
    expect_cores("pack:1 core:4 pu:1", "9", "hwloc finds no core that this process may use");
}

static void neighbors_share_caches(void **state)
{
    (void)state;
    expect_cores("pack:1 l3:2 core:2 pu:1(indexes=0,2,1,3)", "", "0 2 1 3");
}

static void spread_divides_every_team_evenly(void **state)
{
    const struct placement spread = {.policy = "spread"}, smt = {.policy = "spread", .smt = true};
    (void)state;
    expect_placed("pack:2 core:4 pu:1", "", spread, "0 4 1 5 2 6 3 7");
    expect_placed("pack:2 l3:2 core:2 pu:1", "", spread, "0 4 2 6 1 5 3 7");
    expect_placed("pack:2 core:2 pu:2", "", spread, "0 4 2 6");
    expect_placed("pack:2 core:2 pu:2", "", smt, "0 4 2 6 1 5 3 7"); /* every core before a second thread */
    expect_placed("pack:2 core:4 pu:1", "0-2,7", spread,
                  "0 7 1 2"); /* of one package only a core is allowed */
    expect_placed("pack:2 numa:2 core:2 pu:1(indexes=0,2,4,6,1,3,5,7)", "", spread, "0 1 4 5 2 3 6 7");
}

static void smt_takes_all_threads_of_a_core(void **state)
{
    const struct placement smt = {.smt = true};
    (void)state;
    expect_placed("pack:1 core:2 pu:2", "", smt, "0 1 2 3");
    expect_placed("pack:2 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)", "", smt, "0 4 1 5 2 6 3 7");
    expect_placed("pack:1 core:2 pu:2", "1-2", smt, "1 2");
}

static void lists_are_taken_in_their_order(void **state)
{
    static const char machine[] = "pack:2 core:4 pu:1",
                      not_a_list[] = "neither compact, spread nor a list of CPU numbers",
                      not_ours[] = "a CPU of the list is twice in it, or this process may not use it";
    static const struct {
        const char *list, *expected;
    } cases[] = {{"3", "3"},
                 {"7,0", "7 0"},
                 {"4-6,1", "4 5 6 1"},
                 {"8", not_ours},
                 {"0,1,0", not_ours},
                 {"0-99", not_ours},
                 {"", ""},
                 {"6-4", not_a_list},
                 {"1,", not_a_list},
                 {"1,,2", not_a_list},
                 {"-1", not_a_list},
                 {"1-", not_a_list},
                 {"near", not_a_list},
                 {"1 2", not_a_list},
                 {"99999999999999999999", not_ours}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_placed(machine, "", (struct placement){.policy = cases[i].list}, cases[i].expected);
    expect_placed(machine, "0-3", (struct placement){.policy = "4"}, not_ours);
}

/* What each of the first `threads` cores has of the caches, in KiB. */
static void expect_shares(const char *description, int threads, int l1, int l2, int l3)
{
    static struct topology topology;
    const int expected[] = {l1, l2, l3};
    topology.hwloc = synthetic(description);
    topology.allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology.hwloc));
    assert_null(topology_place(&topology, &(struct placement){0}));
    for (int level = 1; level <= 3; level++)
        assert_int_equal(topology_cache_share(&topology, level, threads), expected[level - 1] << 10);
    topology_free(&topology);
}

static void caches_are_shared_among_the_team(void **state)
{
    static const char desktop[] = "pack:1 l3:1(size=33554432) core:4 l2:1(size=524288) l1:1(size=32768) pu:2";
    (void)state;
    expect_shares(desktop, 1, 32, 512, 32 << 10);
    expect_shares(desktop, 4, 32, 512, 8 << 10);
    expect_shares("pack:2 l3:2(size=16777216) l2:2(size=2097152) core:2 pu:1", 2, 0, 1 << 10, 8 << 10);
    expect_shares("pack:2 l3:2(size=16777216) l2:2(size=2097152) core:2 pu:1", 5, 0, 1 << 10,
                  4 << 10); /* the worst of two */
    expect_shares("pack:1 core:4 pu:1", 4, 0, 0, 0);
}

/* Two kinds of cores, 0-1 and 2-5, as hwloc would find them. */
static void expect_of_hybrid(const char *first, const char *second, struct placement placement, int count,
                             int pu)
{
    static struct topology topology;
    topology.hwloc = synthetic("pack:1 core:6 pu:1");
    topology.allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology.hwloc));
    struct hwloc_info_s slow = {(char *)"CoreType", (char *)first},
                        fast = {(char *)"CoreType", (char *)second};
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    hwloc_bitmap_set_range(set, 0, 1);
    assert_int_equal(hwloc_cpukinds_register(topology.hwloc, set, 0, 1, &slow, 0), 0);
    hwloc_bitmap_zero(set);
    hwloc_bitmap_set_range(set, 2, 5);
    assert_int_equal(hwloc_cpukinds_register(topology.hwloc, set, 1, 1, &fast, 0), 0);
    assert_null(topology_place(&topology, &placement));
    assert_int_equal(topology.pu_count, count);
    assert_int_equal(topology.pu[0], pu);
    hwloc_bitmap_free(set);
    topology_free(&topology);
}

static void hybrid_machines(void **state)
{
    (void)state;
    expect_of_hybrid("IntelAtom", "IntelCore", (struct placement){0}, 4, 2);
    expect_of_hybrid("IntelAtom", "IntelCore", (struct placement){.policy = "spread", .smt = true}, 4, 2);
    expect_of_hybrid("IntelAtom", "IntelCore", (struct placement){.policy = "0-5"}, 6,
                     0); /* who asks gets them */
    expect_of_hybrid("IntelCore", "IntelCore", (struct placement){0}, 6,
                     0); /* favored cores, the same type */
}

/* ---- cgroups ---- */

static char root[64];

static int new_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/test_topology.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void)stat;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void no_cgroups_no_limits(void **state)
{
    (void)state;
    assert_true(isinf(cgroup_cpu_quota(root)) && isinf(cgroup_memory_left(root)));
    put("/proc/self/cgroup", "0::/\n");
    assert_true(isinf(cgroup_cpu_quota(root)) && isinf(cgroup_memory_left(root)));
}

static void version_2_takes_the_tightest_ancestor(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/job.scope\n");
    put("/sys/fs/cgroup/system.slice/job.scope/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/system.slice/cpu.max", "250000 100000\n");
    assert_true(cgroup_cpu_quota(root) == 2.5);
    put("/sys/fs/cgroup/system.slice/job.scope/cpu.max", "50000 100000\n");
    assert_true(cgroup_cpu_quota(root) == 0.5);
    put("/sys/fs/cgroup/system.slice/job.scope/memory.max", "max\n");
    put("/sys/fs/cgroup/system.slice/job.scope/memory.current", "700\n");
    put("/sys/fs/cgroup/system.slice/memory.max", "10000\n");
    put("/sys/fs/cgroup/system.slice/memory.current", "4000\n");
    put("/sys/fs/cgroup/system.slice/memory.stat", "anon 3000\nfile 1000\nkernel 0\n");
    assert_true(cgroup_memory_left(root) == 7000);
}

static void version_1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:memory:/box\n4:cpu,cpuacct:/box/job\n1:name=systemd:/\n");
    put("/sys/fs/cgroup/cpu/box/job/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/box/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "150000\n");
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    assert_true(cgroup_cpu_quota(root) == 1.5);
    put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "5000\n");
    put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "3000\n");
    put("/sys/fs/cgroup/memory/box/memory.stat", "cache 1\ntotal_cache 500\n");
    assert_true(cgroup_memory_left(root) == 2500);
}

static void throttled_time_is_that_of_the_slowest_ancestor(void **state)
{
    (void)state;
    assert_true(cgroup_throttled_seconds(root) == 0);
    put("/proc/self/cgroup", "4:cpu:/box\n0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.stat", "usage_usec 5\nnr_throttled 2\nthrottled_usec 250000\n");
    put("/sys/fs/cgroup/a/cpu.stat", "usage_usec 5\nthrottled_usec 1500000\n");
    assert_true(cgroup_throttled_seconds(root) == 1.5);
    put("/sys/fs/cgroup/cpu/box/cpu.stat", "nr_periods 1\nnr_throttled 2\nthrottled_time 2000000000\n");
    assert_true(cgroup_throttled_seconds(root) == 2);
}

/* In a container /proc names a path of the host that is not mounted inside; the mount point is its own group. */
static void container(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/kubepods/pod7/abc\n");
    put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    assert_true(cgroup_cpu_quota(root) == 4);
}

static void default_threads(void **state)
{
    (void)state;
    struct topology topology = {.pu_count = 8, .quota = HUGE_VAL};
    assert_int_equal(topology_default_threads(&topology), 8);
    topology.quota = 2.5;
    assert_int_equal(topology_default_threads(&topology), 2);
    topology.quota = 0.5;
    assert_int_equal(topology_default_threads(&topology), 1);
}

static void places(void **state)
{
    char text[32];
    (void)state;
    struct topology topology = {.pu = {0, 2, 13}, .pu_count = 3};
    assert_true(topology_places(&topology, text, sizeof text));
    assert_string_equal(text, "{0},{2},{13}");
    assert_false(topology_places(&topology, text, 8));
}

/* Memory policies are of threads and are inherited: set before the team exists, it holds for all of it. */
static void memory_is_interleaved_by_the_whole_team(void **state)
{
    struct topology topology;
    int interleaved = 0;
    (void)state;
    assert_null(topology_load(&topology));
    if (!topology_interleave(&topology)) {
        topology_free(&topology);
        skip(); /* the kernel has no NUMA, or a container forbids it */
    }
#pragma omp parallel num_threads(3) reduction(+ : interleaved)
    {
        hwloc_bitmap_t nodes = hwloc_bitmap_alloc();
        hwloc_membind_policy_t policy;
        interleaved = !hwloc_get_membind(topology.hwloc, nodes, &policy,
                                         HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET) &&
                      policy == HWLOC_MEMBIND_INTERLEAVE &&
                      hwloc_bitmap_isequal(nodes, hwloc_topology_get_allowed_nodeset(topology.hwloc));
        hwloc_bitmap_free(nodes);
    }
    topology_free(&topology);
    assert_int_equal(interleaved, 3);
}

static void this_machine(void **state)
{
    struct topology topology;
    (void)state;
    assert_null(topology_load(&topology));
    assert_true(topology.pu_count >= 1 && topology.cache_bytes > 0);
    assert_true(topology_default_threads(&topology) >= 1);
    for (int i = 0; i < topology.pu_count; i++)
        assert_true(hwloc_bitmap_isset(topology.allowed, (unsigned)topology.pu[i]));
    topology_free(&topology);
}

#define FAKE(f) cmocka_unit_test_setup_teardown(f, new_root, remove_root)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_hardware_thread_a_core),
        cmocka_unit_test(only_allowed_ones),
        cmocka_unit_test(neighbors_share_caches),
        cmocka_unit_test(spread_divides_every_team_evenly),
        cmocka_unit_test(smt_takes_all_threads_of_a_core),
        cmocka_unit_test(lists_are_taken_in_their_order),
        cmocka_unit_test(memory_is_interleaved_by_the_whole_team),
        cmocka_unit_test(caches_are_shared_among_the_team),
        cmocka_unit_test(hybrid_machines),
        FAKE(no_cgroups_no_limits),
        FAKE(version_2_takes_the_tightest_ancestor),
        FAKE(version_1),
        FAKE(throttled_time_is_that_of_the_slowest_ancestor),
        FAKE(container),
        cmocka_unit_test(default_threads),
        cmocka_unit_test(places),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
