/* Why a worker's threads are bound by OMP_PLACES and not by hand: libgomp ends surplus threads when a team shrinks,
 * and a thread that it creates later inherits the initial thread's mask. Teams of n, 2, n threads, bound by hand: the
 * last team has lost its pins. Under places, in a fresh process, it has not. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "topology.h"

#include <omp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 4 };

/* Thread i belongs on the i-th core; where there are fewer, they share. */
static int core_of(const struct topology *topology, int thread)
{
    return topology->pu[thread % topology->pu_count];
}

static bool bound_to(int cpu)
{
    cpu_set_t mask;
    return !sched_getaffinity(0, sizeof mask, &mask) && CPU_COUNT(&mask) == 1 && CPU_ISSET(cpu, &mask);
}

/* How many threads of a team are bound to their core; binds them first if asked. */
static int bound_threads(const struct topology *topology, int threads, bool bind)
{
    int bound = 0;
#pragma omp parallel num_threads(threads) reduction(+ : bound)
    {
        const int cpu = core_of(topology, omp_get_thread_num());
        cpu_set_t mask;
        CPU_ZERO(&mask);
        CPU_SET(cpu, &mask);
        if (bind)
            sched_setaffinity(0, sizeof mask, &mask);
        bound = bound_to(cpu);
    }
    return bound;
}

/* Runs this program again, as `mode`, with a clean OpenMP environment or with places. Returns its exit status: how
 * many of THREADS threads are bound after teams of THREADS, 2, THREADS. */
static int bound_after_shrinking(const char *mode, const struct topology *topology)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        char places[16 * THREADS] = "", *argv[] = {(char *)"test_pins", (char *)mode, NULL};
        for (int i = 0; i < THREADS; i++)
            sprintf(places + strlen(places), "%s{%d}", i ? "," : "", core_of(topology, i));
        unsetenv("OMP_PLACES");
        unsetenv("OMP_PROC_BIND");
        if (!strcmp(mode, "places")) {
            setenv("OMP_PLACES", places, 1);
            setenv("OMP_PROC_BIND", "close", 1);
        }
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int child(const char *mode)
{
    struct topology topology;
    const bool by_hand = !strcmp(mode, "hand");
    if (topology_load(&topology))
        return 127;
    bound_threads(&topology, THREADS, by_hand);
    const int before = bound_threads(&topology, THREADS, false);
    bound_threads(&topology, 2, false);
    const int after = bound_threads(&topology, THREADS, false);
    topology_free(&topology);
    return before == THREADS ? after : 126; /* not even before */
}

static void pins_by_hand_are_lost_and_places_are_kept(void **state)
{
    struct topology topology;
    (void)state;
    assert_null(topology_load(&topology));
    if (topology.pu_count < 2) {
        topology_free(&topology);
        skip(); /* on one core every thread is where it belongs */
    }
    const int by_hand = bound_after_shrinking("hand", &topology),
              by_places = bound_after_shrinking("places", &topology);
    topology_free(&topology);
    assert_true(by_hand < THREADS);
    assert_int_equal(by_places, THREADS);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return child(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(pins_by_hand_are_lost_and_places_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
