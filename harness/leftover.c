/* See leftover.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "leftover.h"

#include <dirent.h>
#include <fenv.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

/* Of a thread, then of the process; a bit each in what differs. */
enum thing { ROUNDING, DENORMALS, AFFINITY, SCHEDULING, NICENESS, LIMITS, TIMERS, OPENMP, THREADS, THINGS };
static const char *const names[THINGS] = {"rounding mode",   "treatment of denormal numbers",
                                          "CPU affinity",    "scheduling class",
                                          "niceness",        "resource limits",
                                          "interval timers", "OpenMP's settings",
                                          "running threads"};
enum { TIMER_KINDS = 3 }; /* ITIMER_REAL, _VIRTUAL, _PROF */

struct thread_state {
    int rounding, policy, niceness;
    unsigned denormals;
    cpu_set_t affinity;
};

struct leftover {
    int threads;
    struct rlimit limit[RLIMIT_NLIMITS];
    struct itimerval timer[TIMER_KINDS];
    int omp_dynamic, omp_threads;
    nlink_t tasks; /* links of /proc/self/task: threads of the process and 2 */
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

/* Cheaper than to list them: 1 us. */
static nlink_t task_links(void)
{
    struct stat tasks;
    return stat("/proc/self/task", &tasks) ? 0 : tasks.st_nlink;
}

/* How many threads run or could run now, this one included. */
static int runnable_threads(void)
{
    char path[64], state;
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", task->d_name);
        FILE *file = *task->d_name == '.' ? NULL : fopen(path, "r");
        if (file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1)
            count += state == 'R';
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return count;
}

/* Do more threads run than the team has, which may wait by spinning? A thread that has just been made may be on its way to
 * sleep: so only if that is seen 5 times in 5 ms. */
static bool threads_run(struct leftover *before)
{
    const nlink_t tasks = task_links();
    bool run = tasks > before->tasks;
    for (int look = 0; look < 5 && run; look++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        run = runnable_threads() > before->threads;
    }
    if (!run)
        before->tasks = tasks;
    return run;
}

/* As thread_mend, of the process. */
static unsigned process_mend(struct leftover *before, unsigned *lost)
{
    unsigned changed = 0;
    for (int i = 0; i < RLIMIT_NLIMITS; i++) {
        struct rlimit now;
        getrlimit((__rlimit_resource_t)i, &now);
        if (now.rlim_cur == before->limit[i].rlim_cur && now.rlim_max == before->limit[i].rlim_max)
            continue;
        changed |= 1U << LIMITS;
        *lost |= setrlimit((__rlimit_resource_t)i, &before->limit[i]) ? 1U << LIMITS : 0;
    }
    for (int i = 0; i < TIMER_KINDS; i++) {
        struct itimerval now;
        getitimer((__itimer_which_t)i, &now);
        if (timerisset(&now.it_value) != timerisset(&before->timer[i].it_value)) {
            changed |= 1U << TIMERS;
            setitimer((__itimer_which_t)i, &before->timer[i], NULL);
        }
    }
    if (omp_get_dynamic() != before->omp_dynamic || omp_get_max_threads() != before->omp_threads) {
        changed |= 1U << OPENMP;
        omp_set_dynamic(before->omp_dynamic);
        omp_set_num_threads(before->omp_threads);
    }
    if (threads_run(before)) {
        changed |= 1U << THREADS;
        *lost |= 1U << THREADS;
    }
    return changed;
}

struct leftover *leftover_look(int threads)
{
    struct leftover *state = calloc(1, sizeof *state + (size_t)threads * sizeof *state->thread);
    if (!state)
        return NULL;
    state->threads = threads;
    for (int i = 0; i < RLIMIT_NLIMITS; i++)
        getrlimit((__rlimit_resource_t)i, &state->limit[i]);
    for (int i = 0; i < TIMER_KINDS; i++)
        getitimer((__itimer_which_t)i, &state->timer[i]);
    state->omp_dynamic = omp_get_dynamic();
    state->omp_threads = omp_get_max_threads();
#pragma omp parallel num_threads(threads)
    state->thread[omp_get_thread_num()] = thread_look();
    state->tasks = task_links();
    return state;
}

void leftover_free(struct leftover *before)
{
    free(before);
}

bool leftover_mend(struct leftover *before, char *text, size_t size)
{
    unsigned changed = 0, lost = 0, process_lost = 0;
    changed |=
        process_mend(before, &process_lost); /* first: a team is as large as OpenMP's settings let it be */
#pragma omp parallel num_threads(before->threads) reduction(| : changed, lost)
    changed |= thread_mend(&before->thread[omp_get_thread_num()], &lost);
    lost |= process_lost;
    text[0] = '\0';
    for (int i = 0; i < THINGS; i++)
        if (changed >> i & 1) {
            const size_t used = strlen(text);
            snprintf(text + used, size - used, "%s%s", used ? ", " : "", names[i]);
        }
    return !lost;
}

bool leftover_none(struct leftover *before, const char *impl, char *text, size_t size)
{
    if (!leftover_mend(before, text, size)) {
        fprintf(stderr, "tripass: %s changed its process for good: %s\n", impl, text);
        abort();
    }
    return !*text;
}
