/* The limits of /sys/fs/cgroup, read along the chain of ancestors. Version 2 keeps one tree ("0::/path" in
 * /proc/self/cgroup); version 1 has one a controller ("4:memory:/path"), mounted under its name.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cgroup.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where to look for one controller: a mount point and the path of our group below it. */
struct branch {
    char mount[PATH_MAX], path[PATH_MAX];
};

/* Opens prefix/name for reading; NULL if it is not there. */
static FILE *open_in(const char *prefix, const char *path, const char *name)
{
    char *file_name;
    if (asprintf(&file_name, "%s%s/%s", prefix, path, name) < 0)
        return NULL;
    FILE *file = fopen(file_name, "r");
    free(file_name);
    return file;
}

/* The number in such a file; NAN if there is none. "max" is INFINITY. */
static double read_number(const struct branch *branch, const char *path, const char *name)
{
    char word[64];
    double value = NAN;
    FILE *file = open_in(branch->mount, path, name);
    if (!file)
        return NAN;
    if (fscanf(file, "%63s", word) == 1)
        value = strcmp(word, "max") ? strtod(word, NULL) : HUGE_VAL;
    fclose(file);
    return value;
}

/* The value after `key` in a file of "key value" lines; 0 if absent. */
static double read_key(const struct branch *branch, const char *path, const char *name, const char *key)
{
    char word[64];
    double value = 0;
    FILE *file = open_in(branch->mount, path, name);
    if (!file)
        return 0;
    while (fscanf(file, "%63s %lf", word, &value) == 2 && strcmp(word, key))
        value = 0;
    fclose(file);
    return value;
}

static bool list_has(char *list, const char *word)
{
    for (char *item = strtok(list, ","); item; item = strtok(NULL, ","))
        if (!strcmp(item, word))
            return true;
    return false;
}

/* version 2: controller "". False if this process is in no such group. */
static bool find_branch(const char *root, const char *controller, struct branch *branch)
{
    char line[2 * PATH_MAX];
    bool found = false;
    FILE *file = open_in(root, "/proc/self", "cgroup");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *controllers++ = *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        found = *controller ? list_has(controllers, controller) : !*controllers;
        if (found) {
            const char *below = strcmp(path, "/") ? path : "";
            snprintf(branch->mount, sizeof branch->mount, "%s/sys/fs/cgroup%s%s", root,
                     *controller ? "/" : "", controller);
            snprintf(branch->path, sizeof branch->path, "%s", below);
        }
    }
    if (file)
        fclose(file);
    return found;
}

typedef double limit_fn(const struct branch *branch, const char *path);

/* The smallest limit from our own group up to the root. In a container the path may be the host's, which is not
 * mounted here: its missing files limit nothing, and the walk still ends at what is mounted. */
static double tightest(const char *root, const char *controller, limit_fn *limit)
{
    struct branch branch;
    double least = INFINITY;
    if (!find_branch(root, controller, &branch))
        return least;
    for (;;) {
        least = fmin(least, limit(&branch, branch.path)); /* fmin skips a NAN */
        char *slash = strrchr(branch.path, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

static double cpu_v2(const struct branch *branch, const char *path)
{
    double quota, period, cpus = NAN;
    FILE *file = open_in(branch->mount, path, "cpu.max"); /* "200000 100000" or "max 100000" */
    if (!file)
        return NAN;
    if (fscanf(file, "%lf %lf", &quota, &period) == 2)
        cpus = quota / period;
    fclose(file);
    return cpus;
}

static double cpu_v1(const struct branch *branch, const char *path)
{
    double quota = read_number(branch, path, "cpu.cfs_quota_us"); /* -1: none */
    return quota > 0 ? quota / read_number(branch, path, "cpu.cfs_period_us") : HUGE_VAL;
}

/* The page cache counts as used, but is given back under pressure. */
static double memory_v2(const struct branch *branch, const char *path)
{
    double used = read_number(branch, path, "memory.current") - read_key(branch, path, "memory.stat", "file");
    return read_number(branch, path, "memory.max") - used;
}

static double memory_v1(const struct branch *branch, const char *path)
{
    double used = read_number(branch, path, "memory.usage_in_bytes") -
                  read_key(branch, path, "memory.stat", "total_cache");
    return read_number(branch, path, "memory.limit_in_bytes") - used;
}

/* The group that stood still longest is the one with the least negative time. */
static double running_v2(const struct branch *branch, const char *path)
{
    return -1e-6 * read_key(branch, path, "cpu.stat", "throttled_usec");
}

static double running_v1(const struct branch *branch, const char *path)
{
    return -1e-9 * read_key(branch, path, "cpu.stat", "throttled_time");
}

double cgroup_throttled_seconds(const char *root)
{
    return fmax(0, -fmin(tightest(root, "", running_v2), tightest(root, "cpu", running_v1)));
}

double cgroup_cpu_quota(const char *root)
{
    return fmin(tightest(root, "", cpu_v2), tightest(root, "cpu", cpu_v1));
}

double cgroup_memory_left(const char *root)
{
    return fmin(tightest(root, "", memory_v2), tightest(root, "memory", memory_v1));
}
