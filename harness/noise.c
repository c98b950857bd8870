/* Counters, trends and flags. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "noise.h"

#include "cgroup.h"
#include "stats.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const double SHARE = 0.01, SLICE_S = 3e-3, SLOW_CLOCK_PCT = 90, DRIFT_Z = 3.29, DRIFT_PCT = 1;

static const struct {
    const char *flag;  /* NULL: none */
    double cost_s;     /* time lost by one of what is counted */
    double least;      /* of the sum: less may have happened before the calls */
    bool hits_samples; /* can be told call by call */
} rule[NOISE_KINDS] = {
    [NOISE_STEAL] = {"steal", 1, 0.02, false},
    [NOISE_THROTTLED] = {"throttled", 1, 0, false},
    [NOISE_WAIT] = {"preempted", 1, 0, true},
    [NOISE_SWITCHES] = {NULL, 0, 0, false},
    [NOISE_MINOR_FAULTS] = {"page-faults", 2e-4, 0, true},
    [NOISE_MAJOR_FAULTS] = {"disk", 1e-2, 0, true},
};

/* In /proc/stat a line "cpu3 user nice system idle iowait irq softirq steal ...", in ticks. */
static double steal_seconds(const struct noise_watch *watch)
{
    char path[PATH_MAX], line[512];
    double ticks = 0, steal;
    int cpu;
    snprintf(path, sizeof path, "%s/proc/stat", watch->root);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file) && !strncmp(line, "cpu", 3))
        if (sscanf(line, "cpu%d %*f %*f %*f %*f %*f %*f %*f %lf", &cpu, &steal) == 2)
            for (int i = 0; i < watch->threads; i++)
                ticks += watch->pu[i] == cpu ? steal : 0;
    if (file)
        fclose(file);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

/* /proc/self/task/N/schedstat: nanoseconds run, nanoseconds waited for a CPU, slices. NAN if the kernel keeps none. */
static double wait_seconds(const struct noise_watch *watch)
{
    char path[PATH_MAX];
    double sum = (double)NAN, waited;
    snprintf(path, sizeof path, "%s/proc/self/task", watch->root);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "%s/proc/self/task/%s/schedstat", watch->root, task->d_name);
        FILE *file = *task->d_name == '.' ? NULL : fopen(path, "r");
        if (file && fscanf(file, "%*f %lf", &waited) == 1)
            sum = (isnan(sum) ? 0 : sum) + 1e-9 * waited;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

void noise_read(const struct noise_watch *watch, double counter[NOISE_KINDS])
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    counter[NOISE_STEAL] = steal_seconds(watch);
    counter[NOISE_THROTTLED] = cgroup_throttled_seconds(watch->root);
    counter[NOISE_SWITCHES] = (double)usage.ru_nivcsw;
    counter[NOISE_WAIT] = wait_seconds(watch);
    if (isnan(counter[NOISE_WAIT]))
        counter[NOISE_WAIT] = SLICE_S * counter[NOISE_SWITCHES];
    counter[NOISE_MINOR_FAULTS] = (double)usage.ru_minflt;
    counter[NOISE_MAJOR_FAULTS] = (double)usage.ru_majflt;
}

void noise_add(struct noise *noise, const double before[NOISE_KINDS], const double after[NOISE_KINDS],
               double seconds)
{
    noise->time_s += seconds;
    for (int kind = 0; kind < NOISE_KINDS; kind++) {
        noise->sum[kind] += after[kind] - before[kind];
        noise->samples[kind] += rule[kind].cost_s * (after[kind] - before[kind]) > SHARE * seconds;
    }
}

/* ---- drift ---- */

struct ranked {
    double seconds;
    int index;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

/* Pearson's correlation of the positions and the ranks of the times, equal times sharing the mean of their ranks. */
static double spearman(struct ranked *times, int n)
{
    const double middle = 0.5 * (n - 1);
    double both = 0, ranks = 0, positions = 0;
    qsort(times, (size_t)n, sizeof *times, compare_ranked);
    for (int first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && !(times[end].seconds > times[first].seconds); end++)
            ;
        const double rank = 0.5 * (first + end - 1) - middle;
        for (int i = first; i < end; i++) {
            both += rank * (times[i].index - middle);
            ranks += rank * rank;
            positions += (times[i].index - middle) * (times[i].index - middle);
        }
    }
    return ranks > 0 ? both / sqrt(ranks * positions) : (double)NAN;
}

void noise_set_drift(struct noise *noise, const double *seconds, int n)
{
    noise->drift_rho = noise->drift_pct = (double)NAN;
    struct ranked *times = malloc((size_t)n * sizeof *times);
    double *half = malloc((size_t)n * sizeof *half);
    if (times && half && n >= 3) {
        for (int i = 0; i < n; i++)
            times[i] = (struct ranked){seconds[i], i};
        noise->drift_rho = spearman(times, n);
        memcpy(half, seconds, (size_t)n * sizeof *half);
        const double earlier = stats_of(half, n / 2).median;
        const double later = stats_of(half + n - n / 2, n / 2).median;
        noise->drift_pct = 100 * (later / earlier - 1);
    }
    free(times);
    free(half);
}

/* ---- flags ---- */

static void add_flag(char *text, size_t size, const char *flag)
{
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used ? " " : "", flag);
}

char *noise_flags(const struct noise *noise, int n, char *text, size_t size)
{
    const int rank = stats_interval_rank(n), enough = rank ? rank : 1;
    *text = '\0';
    for (int kind = 0; kind < NOISE_KINDS; kind++) {
        const double sum = noise->sum[kind];
        const bool much = rule[kind].hits_samples ? noise->samples[kind] >= enough
                                                  : rule[kind].cost_s * sum > SHARE * noise->time_s;
        if (rule[kind].flag && much && sum >= rule[kind].least)
            add_flag(text, size, rule[kind].flag);
    }
    if (noise->clock_pct < SLOW_CLOCK_PCT)
        add_flag(text, size, "slow-clock");
    if (noise->moved)
        add_flag(text, size, "moved");
    if (fabs(noise->drift_rho) * sqrt(n - 1) > DRIFT_Z && fabs(noise->drift_pct) > DRIFT_PCT)
        add_flag(text, size, "drift");
    return text;
}
