/* See leftover.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "leftover.h"

#include <fenv.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

/* Of a thread, then of the process; a bit each in what differs. */
enum thing { ROUNDING, DENORMALS, AFFINITY, SCHEDULING, NICENESS, LIMITS, THINGS };
static const char *const names[THINGS] = {"rounding mode", "treatment of denormal numbers",
                                          "CPU affinity",  "scheduling class",
                                          "niceness",      "resource limits"};

struct thread_state {
    int rounding, policy, niceness;
    unsigned denormals;
    cpu_set_t affinity;
};

struct leftover {
    int threads;
    struct rlimit limit[RLIMIT_NLIMITS];
    struct thread_state thread[];
};

#ifdef __SSE2__
enum { DENORMAL_BITS = 0x8040 }; /* MXCSR: flush to zero, denormals are zero */
static unsigned denormals_get(void)
{
    return _mm_getcsr() & DENORMAL_BITS;
}
static void denormals_set(unsigned bits)
{
    _mm_setcsr((_mm_getcsr() & ~(unsigned)DENORMAL_BITS) | bits);
}
#else
static unsigned denormals_get(void)
{
    return 0;
}
static void denormals_set(unsigned bits)
{
    (void)bits;
}
#endif

static struct thread_state thread_look(void)
{
    struct thread_state state = {.rounding = fegetround(),
                                 .policy = sched_getscheduler(0),
                                 .niceness = getpriority(PRIO_PROCESS, 0), /* 0: the calling thread */
                                 .denormals = denormals_get()};
    sched_getaffinity(0, sizeof state.affinity, &state.affinity);
    return state;
}

/* Returns the bits of what had changed; adds those that cannot be put back to *lost. */
static unsigned thread_mend(const struct thread_state *before, unsigned *lost)
{
    const struct thread_state now = thread_look();
    const struct sched_param none = {0};
    unsigned changed = 0;
    if (now.rounding != before->rounding) {
        changed |= 1U << ROUNDING;
        fesetround(before->rounding);
    }
    if (now.denormals != before->denormals) {
        changed |= 1U << DENORMALS;
        denormals_set(before->denormals);
    }
    if (!CPU_EQUAL(&now.affinity, &before->affinity)) {
        changed |= 1U << AFFINITY;
        *lost |= sched_setaffinity(0, sizeof before->affinity, &before->affinity) ? 1U << AFFINITY : 0;
    }
    if (now.policy != before->policy) {
        changed |= 1U << SCHEDULING;
        *lost |= sched_setscheduler(0, before->policy, &none) ? 1U << SCHEDULING : 0;
    }
    if (now.niceness != before->niceness) {
        changed |= 1U << NICENESS;
        *lost |= setpriority(PRIO_PROCESS, 0, before->niceness) ? 1U << NICENESS : 0;
    }
    return changed;
}

struct leftover *leftover_look(int threads)
{
    struct leftover *state = malloc(sizeof *state + (size_t)threads * sizeof *state->thread);
    if (!state)
        return NULL;
    state->threads = threads;
    for (int i = 0; i < RLIMIT_NLIMITS; i++)
        getrlimit((__rlimit_resource_t)i, &state->limit[i]);
#pragma omp parallel num_threads(threads)
    state->thread[omp_get_thread_num()] = thread_look();
    return state;
}

void leftover_free(struct leftover *before)
{
    free(before);
}

bool leftover_mend(const struct leftover *before, char *text, size_t size)
{
    unsigned changed = 0, lost = 0;
#pragma omp parallel num_threads(before->threads) reduction(| : changed, lost)
    changed |= thread_mend(&before->thread[omp_get_thread_num()], &lost);
    for (int i = 0; i < RLIMIT_NLIMITS; i++) {
        struct rlimit now;
        getrlimit((__rlimit_resource_t)i, &now);
        if (now.rlim_cur == before->limit[i].rlim_cur && now.rlim_max == before->limit[i].rlim_max)
            continue;
        changed |= 1U << LIMITS;
        lost |= setrlimit((__rlimit_resource_t)i, &before->limit[i]) ? 1U << LIMITS : 0;
    }
    text[0] = '\0';
    for (int i = 0; i < THINGS; i++)
        if (changed >> i & 1) {
            const size_t used = strlen(text);
            snprintf(text + used, size - used, "%s%s", used ? ", " : "", names[i]);
        }
    return !lost;
}
