/* See quiet.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "quiet.h"

#include "clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const double BUSY = 0.05;

/* Ticks of a CPU so far. */
struct ticks {
    double busy, idle, stolen;
};

static FILE *open_in(const char *root, const char *path)
{
    char name[4096];
    snprintf(name, sizeof name, "%s%s", root, path);
    return fopen(name, "r");
}

/* Sums over our CPUs: cpuN user nice system idle iowait irq softirq steal. */
static struct ticks ticks_read(const char *root, const int *pu, int count)
{
    struct ticks sum = {0, 0, 0};
    char line[512];
    FILE *file = open_in(root, "/proc/stat");
    while (file && fgets(line, sizeof line, file)) {
        int cpu;
        double t[8];
        if (sscanf(line, "cpu%d %lf %lf %lf %lf %lf %lf %lf %lf", &cpu, t, t + 1, t + 2, t + 3, t + 4, t + 5,
                   t + 6, t + 7) != 9)
            continue;
        for (int i = 0; i < count; i++)
            if (pu[i] == cpu) {
                sum.busy += t[0] + t[1] + t[2] + t[5] + t[6];
                sum.idle += t[3] + t[4];
                sum.stolen += t[7];
            }
    }
    if (file)
        fclose(file);
    return sum;
}

struct quiet quiet_look(const char *root, const int *pu, int count)
{
    const struct timespec pause = {0, (long)(QUIET_LOOK_S * 1e9)};
    const struct ticks before = ticks_read(root, pu, count);
    nanosleep(&pause, NULL);
    const struct ticks after = ticks_read(root, pu, count);
    const double busy = after.busy - before.busy, stolen = after.stolen - before.stolen,
                 all = fmax(busy + stolen + after.idle - before.idle, 1);
    struct quiet quiet = {busy / all, stolen / all, 0};
    FILE *file = open_in(root, "/proc/loadavg");
    if (file && fscanf(file, "%lf", &quiet.load) != 1)
        quiet.load = 0;
    if (file)
        fclose(file);
    return quiet;
}

bool quiet_is(const struct quiet *quiet)
{
    return quiet->others + quiet->stolen <= BUSY;
}

struct quiet quiet_wait(const int *pu, int count, double patience_s)
{
    const double end = clock_now() + patience_s;
    struct quiet quiet = quiet_look("", pu, count);
    if (!quiet_is(&quiet) && patience_s > 0)
        fprintf(stderr, "tripass: waiting up to %.0f s for a quiet machine\n", patience_s);
    while (!quiet_is(&quiet) && clock_now() < end)
        quiet = quiet_look("", pu, count);
    if (!quiet_is(&quiet))
        fprintf(stderr,
                "tripass: this machine is busy: others take %.0f %% of our CPUs, %.0f %% are stolen, load "
                "%.1f; times "
                "will vary; try --wait-quiet=10m, or a quiet machine\n",
                100 * quiet.others, 100 * quiet.stolen, quiet.load);
    return quiet;
}
