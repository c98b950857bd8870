/* The worker: walks the groups of its repetition and thread count and sends what it finds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "worker.h"

#include "clock.h"
#include "group.h"
#include "supervise.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int assignment_print(const struct assignment *a, char *text, size_t size)
{
    return snprintf(text, size, "%d,%d,%d,%d,%d,%d,%.9g,%.3f,%s", a->rep, a->thread_index, a->group,
                    a->ceiling, a->pipe, a->page, a->best_flops, a->deadline, a->done);
}

bool assignment_parse(struct assignment *a, const char *text)
{
    *a = (struct assignment){0};
    return sscanf(text, "%d,%d,%d,%d,%d,%d,%lf,%lf,%255[01]", &a->rep, &a->thread_index, &a->group,
                  &a->ceiling, &a->pipe, &a->page, &a->best_flops, &a->deadline,
                  a->done) >= 8; /* no implementations, no flags */
}

struct worker {
    const struct study *study;
    struct assignment assignment;
    struct page *page;
    int *points_from; /* for each group: how many points from it to the last are not refused */
};

/* The supervisor is gone if its pipe is: there is nobody left to work for. */
static void send(const struct worker *worker, struct message message, const void *payload)
{
    const void *parts[] = {&message, payload};
    const size_t bytes[] = {sizeof message, message.bytes};
    for (int part = 0; part < 2; part++)
        for (size_t sent = 0; sent < bytes[part];) {
            ssize_t n = write(worker->assignment.pipe, (const char *)parts[part] + sent, bytes[part] - sent);
            if (n <= 0)
                _exit(1);
            sent += (size_t)n;
        }
}

static void send_samples(const struct worker *worker, const struct point *point, const struct series *series)
{
    char *text;
    size_t bytes;
    FILE *file = open_memstream(&text, &bytes);
    for (int i = 0; i < series->n; i++) {
        const struct timing *timing = &series->timing[i];
        const struct sample sample = {point->impl,    point->pass,   point->problem,
                                      point->threads, point->rep,    point->attempt,
                                      timing->round,  timing->order, timing->seconds};
        sample_print(file, &sample);
    }
    fclose(file);
    send(worker, (struct message){.kind = MESSAGE_SAMPLES, .bytes = bytes}, text);
    free(text);
}

static void send_point(void *context, int impl, const struct point *point, const struct series *series)
{
    const struct worker *worker = context;
    char *text;
    size_t bytes;
    if (series)
        send_samples(worker, point, series);
    FILE *file = open_memstream(&text, &bytes);
    point_print(file, point);
    fclose(file);
    struct message message = {MESSAGE_POINT, worker->page->group, impl, point->status, .bytes = bytes};
    memcpy(message.reason, point->reason, sizeof message.reason);
    send(worker, message, text);
    free(text);
}

static void send_profile(void *context, const struct point *point, const struct runner *runner,
                         const struct profile *profile)
{
    const struct worker *worker = context;
    for (int table = 0; table <= 1; table++) {
        char *text;
        size_t bytes;
        FILE *file = open_memstream(&text, &bytes);
        profile_print(file, table, profile, runner, point);
        fclose(file);
        send(worker, (struct message){.kind = table ? MESSAGE_TABLE : MESSAGE_PHASES, .bytes = bytes}, text);
        free(text);
    }
}

/* Points of a group that are not refused. */
static int group_points(const struct study *study, int group)
{
    const struct conv_problem *problem = &study->layers[group / study->output_count].problem;
    const enum conv_tensor output = study->outputs[group % study->output_count];
    int points = 0;
    for (int i = 0; i < study->impl_count; i++)
        points += !study->impls[i]->refuse || !study->impls[i]->refuse(problem, output);
    return points;
}

/* A group's share of what the budget still has: in proportion to its points among all that are left, those of later
 * workers included. */
static double time_for_group(const struct worker *worker, int group)
{
    const struct study *study = worker->study;
    const struct assignment *a = &worker->assignment;
    if (a->deadline <= 0)
        return HUGE_VAL;
    const int later =
        study->repetitions * study->thread_count - 1 - a->rep * study->thread_count - a->thread_index;
    const double left = worker->points_from[group] + (double)later * worker->points_from[0];
    const int here = worker->points_from[group] - worker->points_from[group + 1];
    return fmax(a->deadline - clock_now(), 0) * here / fmax(left, 1);
}

static void walk(struct worker *worker, const struct topology *topology)
{
    const struct study *study = worker->study;
    const int groups = study->layer_count * study->output_count;
    char none[sizeof worker->assignment.done] = "";
    double *s_per_flop = calloc((size_t)(study->impl_count * CONV_TENSORS), sizeof *s_per_flop);
    worker->points_from = calloc((size_t)groups + 1, sizeof *worker->points_from);
    if (!s_per_flop || !worker->points_from)
        abort();
    for (int g = groups - 1; g >= 0; g--)
        worker->points_from[g] = worker->points_from[g + 1] + group_points(study, g);
    for (int g = worker->assignment.group; g < groups; g++) {
        worker->page->group = g;
        worker->page->impl = -1;
        worker->page->step++;
        const enum conv_tensor output = study->outputs[g % study->output_count];
        struct group group = {
            .study = study,
            .layer = &study->layers[g / study->output_count],
            .output = output,
            .threads = study->threads[worker->assignment.thread_index],
            .rep = worker->assignment.rep,
            .done = g == worker->assignment.group ? worker->assignment.done : none,
            .topology = topology,
            .page = worker->page,
            .time_s = time_for_group(worker, g),
            .s_per_flop = s_per_flop + study->impl_count * (int)output,
            .best_flops = &worker->assignment.best_flops,
            .emit = send_point,
            .emit_profile = send_profile,
            .context = worker,
        };
        group_run(&group);
    }
    free(s_per_flop);
    free(worker->points_from);
}

int study_work(const struct study *study, const char *argument)
{
    struct worker worker = {.study = study};
    struct topology topology;
    struct assignment *a = &worker.assignment;
    const char *reason = NULL;
    if (!assignment_parse(a, argument) || a->thread_index >= study->thread_count ||
        (reason = topology_load(&topology)) || (reason = topology_place(&topology, &study->placement))) {
        fprintf(stderr, "tripass: --worker=%s: %s; this option is for the program itself\n", argument,
                reason ? reason : "not an assignment");
        return 2;
    }
    if (study->interleave && !topology_interleave(&topology)) {
        fprintf(stderr, "tripass: --numa=interleave: %s; try --numa=firsttouch\n", strerror(errno));
        return 2;
    }
    worker.page = mmap(NULL, sizeof *worker.page, PROT_READ | PROT_WRITE, MAP_SHARED, a->page, 0);
    if (worker.page == MAP_FAILED) {
        perror("tripass: worker");
        return 2;
    }
    if (a->ceiling) {
        struct ceiling ceiling;
        ceiling_measure(&ceiling, study->threads[a->thread_index], &topology);
        ceiling.pinned = topology_pinned(&topology, ceiling.threads);
        a->best_flops = ceiling.fma_flops[study->isa];
        send(&worker, (struct message){.kind = MESSAGE_CEILING, .bytes = sizeof ceiling}, &ceiling);
    }
    walk(&worker, &topology);
    munmap(worker.page, sizeof *worker.page);
    topology_free(&topology);
    return 0;
}
