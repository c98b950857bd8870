/* The worker: walks the groups of its repetition and thread count and sends what it finds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "worker.h"

#include "budget.h"
#include "message.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HIGH_FILE = 500 }; /* of the 1024 that a process may have open by default */

int assignment_print(const struct assignment *a, char *text, size_t size)
{
    return snprintf(text, size, "%d,%d,%d,%d,%d,%d,%.9g,%.3f", a->rep, a->thread_index, a->ceiling, a->pipe,
                    a->board, a->layer_count, a->best_flops, a->deadline);
}

bool assignment_parse(struct assignment *a, const char *text)
{
    *a = (struct assignment){0};
    return sscanf(text, "%d,%d,%d,%d,%d,%d,%lf,%lf", &a->rep, &a->thread_index, &a->ceiling, &a->pipe,
                  &a->board, &a->layer_count, &a->best_flops, &a->deadline) == 8;
}

struct worker {
    struct study study; /* as the supervisor has it */
    pid_t pid;
    int group; /* that it is at; the page's is for the supervisor alone */
    struct assignment assignment;
    struct board board,
        own; /* the shared one; a copy of what the supervisor has published, out of others' reach */
};

/* The supervisor is gone if its pipe is: there is nobody left to work for. Nor is there for the copy of this process
 * that an implementation's fork() has made. */
static void send(const struct worker *worker, struct message message, const void *payload)
{
    if (getpid() != worker->pid || !message_send(worker->assignment.pipe, message, payload))
        _exit(1);
}

static void send_samples(const struct worker *worker, const struct point *point, const struct series *series)
{
    char *text;
    size_t bytes;
    FILE *file = open_memstream(&text, &bytes);
    for (int i = 0; i < series->n; i++) {
        const struct timing *timing = &series->timing[i];
        const struct sample sample = {point->impl,     point->pass,       point->problem, point->threads,
                                      point->rep,      point->attempt,    timing->round,  timing->order,
                                      timing->seconds, timing->handoff_ns};
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
    struct message message = {
        .kind = MESSAGE_POINT, .group = worker->group, .impl = impl, .status = point->status, .bytes = bytes};
    memcpy(message.reason, point->reason, sizeof message.reason);
    memcpy(message.flags, point->flags, sizeof message.flags);
    message.median_s = point->time.median;
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

static void walk(struct worker *worker, const struct topology *topology)
{
    const struct study *study = &worker->study;
    const struct assignment *a = &worker->assignment;
    struct page *page = worker->board.page;
    double expected_s[study->impl_count];
    char ignored[128];
    struct leftover *before = leftover_look(study->threads[a->thread_index]);
    if (!before)
        abort(); /* some kilobytes: the supervisor reports the crash */
    for (int g = 0; g < study_groups(study); g++) {
        const enum conv_tensor output = study->outputs[g % study->output_count];
        struct group group = {
            .study = study,
            .layer = &study->layers[g / study->output_count],
            .output = output,
            .threads = study->threads[a->thread_index],
            .rep = a->rep,
            .done = board_done(&worker->own, a->rep, a->thread_index, g),
            .lone = *board_lone(&worker->own, g),
            .proven = board_proven(&worker->board, a->thread_index, g),
            .cost = board_cost(&worker->board, a->rep, a->thread_index, g),
            .expected_s = expected_s,
            .topology = topology,
            .page = page,
            .before = before,
            .best_flops = &worker->assignment.best_flops,
            .emit = send_point,
            .emit_profile = send_profile,
            .context = worker,
        };
        if (!memchr(group.done, 0, (size_t)study->impl_count))
            continue;
        page->group = worker->group = g;
        page->impl = -1;
        page->step++;
        budget_share(&worker->board, a->thread_index, &group, a->deadline);
        leftover_mend(before, ignored, sizeof ignored); /* what a pilot run left is no point's fault */
        const double known = *group.best_flops;
        group_run(&group);
        if (*group.best_flops > known)
            send(worker, (struct message){.kind = MESSAGE_PROBE, .bytes = sizeof known}, group.best_flops);
    }
    leftover_free(before);
}

/* Takes the layers from the board. The page then tells how far this worker has come. False: errno says why. */
static bool open_board(struct worker *worker)
{
    struct study *study = &worker->study;
    const int file = worker->assignment.board;
    study->layer_count = worker->assignment.layer_count;
    if (!board_open(&worker->board, study, file) || !board_open(&worker->own, study, -1))
        return false;
    board_publish(&worker->own, &worker->board);
    study->layers = board_layers(&worker->own);
    close(file);
    /* Out of the way of whoever writes into, or closes, descriptors that are not his. */
    const int high = fcntl(worker->assignment.pipe, F_DUPFD_CLOEXEC, HIGH_FILE);
    if (high < 0) {
        fcntl(worker->assignment.pipe, F_SETFD, FD_CLOEXEC);
    } else {
        close(worker->assignment.pipe);
        worker->assignment.pipe = high;
    }
    madvise(worker->board.memory, worker->board.bytes, MADV_DONTFORK); /* children have no say */
    return true;
}

/* Starts the team, which may be impossible (ulimit, OMP_STACKSIZE): libgomp then ends the process, and no point is to
 * blame yet. Measures the ceilings if that is the task. */
static void begin(struct worker *worker, const struct topology *topology)
{
    struct assignment *a = &worker->assignment;
    const int threads = worker->study.threads[a->thread_index];
    int team = 0;
#pragma omp parallel num_threads(threads) reduction(+ : team)
    team++;
    if (team < threads) {
        fprintf(stderr,
                "tripass: --threads=%d: OpenMP gives only %d threads; try another OMP_* environment\n",
                threads, team);
        worker->board.page->state = WORKER_SAID;
        exit(2);
    }
    if (a->ceiling) {
        struct ceiling ceiling;
        ceiling_measure(&ceiling, threads, topology, &worker->board.page->step);
        ceiling.pinned = topology_pinned(topology, ceiling.threads);
        a->best_flops = ceiling.fma_flops[worker->study.isa];
        send(worker, (struct message){.kind = MESSAGE_CEILING, .bytes = sizeof ceiling}, &ceiling);
    }
}

int study_work(const struct study *study, const char *argument)
{
    struct worker worker = {.study = *study, .pid = getpid()};
    struct topology topology;
    struct assignment *a = &worker.assignment;
    const char *reason = NULL;
    if (!assignment_parse(a, argument) || a->thread_index >= study->thread_count ||
        a->rep >= study->repetitions || a->layer_count < 0 || !open_board(&worker)) {
        fprintf(stderr, "tripass: --worker=%s: not an assignment; this option is for the program itself\n",
                argument);
        return 2;
    }
    if ((reason = topology_load(&topology)) || (reason = topology_place(&topology, &study->placement)))
        fprintf(stderr, "tripass: topology: %s; try lstopo to see what hwloc finds\n", reason);
    else if (study->interleave && !topology_interleave(&topology))
        fprintf(stderr, "tripass: --numa=interleave: %s; try --numa=firsttouch\n", reason = strerror(errno));
    if (reason) {
        worker.board.page->state = WORKER_SAID;
        return 2;
    }
    begin(&worker, &topology);
    worker.board.page->state = WORKER_WALKS;
    walk(&worker, &topology);
    worker.board.page->impl = -1;
    worker.board.page->state = WORKER_FINISHED;
    board_close(&worker.board);
    board_close(&worker.own);
    topology_free(&topology);
    return 0;
}
