/* The supervisor. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "supervise.h"

#include "board.h"
#include "clock.h"
#include "machine.h"
#include "problem_string.h"
#include "profile.h"
#include "progress.h"
#include "record.h"
#include "resume.h"
#include "topology.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int signal)
{
    stop_signal = signal;
}

struct supervisor {
    const struct study *study;
    int argc;
    char **argv;
    struct topology topology;
    struct record record;
    struct ceiling *ceilings;
    struct progress progress;
    double deadline;
    struct board board;
    int board_file;
    bool failed; /* some point is FAIL, CRASH or TIMEOUT */
    bool broken; /* the environment: no use going on */
    bool warned;

    /* the worker now running */
    struct assignment task;
    pid_t pid;
    int pipe;
    char *inbox;
    size_t inbox_bytes;
};

enum { OOM_SCORE_WORST = 1000, POLL_MS = 100 };

/* ---- starting a worker ---- */

static void set_number(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

/* In the child: becomes the worker, or dies. */
static void become_worker(struct supervisor *s)
{
    static char places[16 * CORES_MAX];
    char option[512] = "--worker=", *argv[s->argc + 2];
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphans */
    signal(SIGINT, SIG_IGN);          /* the terminal sends it to all; the supervisor decides */
    const int oom = open("/proc/self/oom_score_adj", O_WRONLY);
    if (oom >= 0) {
        dprintf(oom, "%d", OOM_SCORE_WORST); /* rather the worker than its supervisor */
        close(oom);
    }
    topology_places(&s->topology, places, sizeof places);
    topology_unbind(&s->topology);
    unsetenv("GOMP_CPU_AFFINITY");
    setenv("OMP_PLACES", places, 1);
    setenv("OMP_PROC_BIND", "close", 1);
    setenv("OMP_DYNAMIC", "false", 1);
    setenv("OMP_WAIT_POLICY", "active", 1);
    set_number("OMP_MAX_ACTIVE_LEVELS", 1);
    set_number("OMP_NUM_THREADS", s->study->threads[s->task.thread_index]);

    assignment_print(&s->task, option + strlen(option), sizeof option - strlen(option));
    int count = 0;
    for (int i = 0; i < s->argc; i++) {
        if (i == 2)
            argv[count++] = option;
        argv[count++] = s->argv[i];
    }
    if (s->argc <= 2)
        argv[count++] = option;
    argv[count] = NULL;
    execv("/proc/self/exe", argv);
    perror("tripass: cannot start a worker");
    _exit(127);
}

/* The first group of the task that lacks a row; study_groups() if none does. */
static int first_open_group(const struct supervisor *s)
{
    int group = 0;
    while (group < study_groups(s->study) &&
           !memchr(board_done(&s->board, s->task.rep, s->task.thread_index, group), 0,
                   (size_t)s->study->impl_count))
        group++;
    return group;
}

static bool start_worker(struct supervisor *s)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends)) {
        perror("tripass: cannot start a worker");
        return false;
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    s->task.pipe = ends[1];
    s->task.board = s->board_file;
    s->pipe = ends[0];
    s->inbox_bytes = 0;
    s->board.page->group = first_open_group(s);
    s->board.page->impl = -1;
    s->pid = fork();
    if (s->pid == 0)
        become_worker(s);
    close(ends[1]);
    if (s->pid < 0)
        perror("tripass: cannot start a worker");
    return s->pid > 0;
}

/* ---- what it reports ---- */

/* A point that failed is said at once: a study may go on for hours. */
static void say_failure(struct supervisor *s, const struct message *point, const char *what)
{
    char problem[PROBLEM_STRING_MAX];
    problem_string_print(&s->study->layers[point->group / s->study->output_count].problem, problem,
                         sizeof problem);
    progress_clear(&s->progress);
    fprintf(stderr, "%s: %s (%s): %s\n", status_name(point->status), what, problem, point->reason);
}

/* row: the point as its line of points.csv, point->bytes long. */
static void write_point(struct supervisor *s, const struct message *point, const char *row)
{
    char text[128];
    const struct layer *layer = &s->study->layers[point->group / s->study->output_count];
    unsigned char *done =
        &board_done(&s->board, s->task.rep, s->task.thread_index, point->group)[point->impl];
    snprintf(text, sizeof text, "%s %s%s%s",
             conv_pass_name(s->study->outputs[point->group % s->study->output_count]),
             s->study->impls[point->impl]->name, *layer->name ? " " : "", layer->name);
    if (point->status >= STATUS_FAIL) {
        s->failed = true;
        say_failure(s, point, text);
    }
    if (!*done) /* else measured again */
        progress_step(&s->progress, text);
    *done += *done < UCHAR_MAX;
    s->broken |= !record_write(s->record.points, row, point->bytes);
}

static void receive(struct supervisor *s, const struct message *message, const char *payload)
{
    switch (message->kind) {
    case MESSAGE_CEILING:
        memcpy(&s->ceilings[s->task.thread_index], payload, sizeof(struct ceiling));
        if (!s->ceilings[s->task.thread_index].pinned && !s->warned) {
            progress_clear(&s->progress);
            fputs("tripass: threads could not be bound to cores; times will vary more (column pinned = 0)\n",
                  stderr);
            s->warned = true;
        }
        break;
    case MESSAGE_SAMPLES:
        if (s->record.samples >= 0)
            s->broken |= !record_write(s->record.samples, payload, message->bytes);
        break;
    case MESSAGE_PHASES:
        if (s->record.phases >= 0)
            s->broken |= !record_write(s->record.phases, payload, message->bytes);
        break;
    case MESSAGE_TABLE:
        progress_clear(&s->progress);
        fwrite(payload, 1, message->bytes, s->record.dir ? stdout : stderr);
        fflush(stdout);
        break;
    case MESSAGE_POINT: write_point(s, message, payload); break;
    }
}

/* Reads what is there. false at the end of the pipe. */
static bool read_messages(struct supervisor *s)
{
    char chunk[1 << 16];
    ssize_t got = read(s->pipe, chunk, sizeof chunk);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    s->inbox = realloc(s->inbox, s->inbox_bytes + (size_t)got);
    if (!s->inbox)
        abort();
    memcpy(s->inbox + s->inbox_bytes, chunk, (size_t)got);
    s->inbox_bytes += (size_t)got;
    size_t at = 0;
    struct message message;
    while (s->inbox_bytes - at >= sizeof message) {
        memcpy(&message, s->inbox + at, sizeof message);
        if (s->inbox_bytes - at - sizeof message < message.bytes)
            break;
        receive(s, &message, s->inbox + at + sizeof message);
        at += sizeof message + message.bytes;
    }
    memmove(s->inbox, s->inbox + at, s->inbox_bytes -= at);
    return true;
}

/* ---- watching over it ---- */

/* Ends the worker and keeps what it has sent. */
static void kill_worker(struct supervisor *s)
{
    kill(s->pid, SIGKILL);
    while (!s->broken && read_messages(s))
        ;
}

/* Reads rows until the worker ends. Returns false if it had to be killed because a step took too long. */
static bool watch(struct supervisor *s)
{
    unsigned long step = 0;
    double since = clock_now();
    struct pollfd pollfd = {.fd = s->pipe, .events = POLLIN};
    for (;;) {
        const int ready = poll(&pollfd, 1, POLL_MS);
        if (ready > 0 && !read_messages(s))
            return true;
        if (stop_signal || s->broken) {
            kill_worker(s);
            return true;
        }
        if (s->board.page->step != step) {
            step = s->board.page->step;
            since = clock_now();
        } else if (s->study->timeout_s > 0 && clock_now() - since > s->study->timeout_s) {
            kill_worker(s);
            return false;
        }
    }
}

static void write_culprit(struct supervisor *s, int impl, bool in_time, int wait_status)
{
    char *row;
    size_t bytes;
    const struct study *study = s->study;
    const struct page *page = s->board.page;
    struct point point = point_of(study, &study->layers[page->group / study->output_count],
                                  study->outputs[page->group % study->output_count], study->impls[impl]);
    point.threads = study->threads[s->task.thread_index];
    point.rep = s->task.rep;
    const char *where = page->impl < 0 ? " outside of any implementation" : "";
    if (!in_time)
        point_set_status(&point, STATUS_TIMEOUT, "no progress for %g s%s", study->timeout_s, where);
    else if (WIFSIGNALED(wait_status))
        point_set_status(&point, STATUS_CRASH, "%s%s%s", strsignal(WTERMSIG(wait_status)),
                         WTERMSIG(wait_status) == SIGKILL ? " (out of memory?)" : "", where);
    else
        point_set_status(&point, STATUS_CRASH, "exited with status %d%s", WEXITSTATUS(wait_status), where);
    FILE *file = open_memstream(&row, &bytes);
    point_print(file, &point);
    fclose(file);
    struct message message = {MESSAGE_POINT, page->group, impl, point.status, .bytes = bytes};
    memcpy(message.reason, point.reason, sizeof message.reason);
    write_point(s, &message, row);
    free(row);
}

/* The worker has died: blames whom the page names, or, if it was the harness, all that are left of the group. */
static void blame(struct supervisor *s, bool in_time, int wait_status)
{
    const struct page *page = s->board.page;
    const unsigned char *done = board_done(&s->board, s->task.rep, s->task.thread_index, page->group);
    for (int impl = 0; impl < s->study->impl_count; impl++)
        if (!done[impl] && (page->impl < 0 || page->impl == impl))
            write_culprit(s, impl, in_time, wait_status);
}

/* One repetition at one thread count, with as many workers as it takes. */
static void run_workers(struct supervisor *s)
{
    const int groups = study_groups(s->study);
    do {
        int wait_status = 0;
        if (!start_worker(s)) {
            s->broken = true;
            return;
        }
        const bool in_time = watch(s);
        s->task.ceiling = 0;
        close(s->pipe);
        while (waitpid(s->pid, &wait_status, 0) < 0 && errno == EINTR)
            ;
        if (stop_signal || s->broken || (in_time && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0))
            return;
        if (WIFEXITED(wait_status) && (WEXITSTATUS(wait_status) == 127 || WEXITSTATUS(wait_status) == 2)) {
            s->broken = true; /* it has said why */
            return;
        }
        if (groups)
            blame(s, in_time, wait_status);
    } while (first_open_group(s) < groups);
}

static void run_all(struct supervisor *s)
{
    const struct study *study = s->study;
    for (int rep = 0; rep < study->repetitions; rep++)
        for (int t = 0; t < study->thread_count && !stop_signal && !s->broken; t++) {
            s->task = (struct assignment){.rep = rep,
                                          .thread_index = t,
                                          .ceiling = !s->ceilings[t].threads && !study->check_only,
                                          .best_flops = s->ceilings[t].fma_flops[study->isa],
                                          .deadline = s->deadline};
            if (!study_groups(study) || first_open_group(s) < study_groups(study))
                run_workers(s);
        }
}

/* A budget that does not pay for one call of everything is said to be too small. */
static void tell_budget(const struct supervisor *s)
{
    const struct page *page = s->board.page;
    if (page->unpaid)
        fprintf(
            stderr,
            "tripass: --budget=%g: too little even to check and call everything once: %d points were skipped "
            "(column reason), about %.0f s of work; try a larger --budget, fewer --impl or --reps=1\n",
            s->study->budget_s, page->unpaid, ceil(page->unpaid_s));
}

/* ---- the whole ---- */

static bool open_supervisor(struct supervisor *s, const struct study *study, int argc, char **argv)
{
    char runtimes[1024];
    const struct sigaction stop = {.sa_handler = on_signal}; /* no SA_RESTART: poll returns */
    *s = (struct supervisor){.study = study, .argc = argc, .argv = argv};
    if (machine_openmp_runtimes(runtimes, sizeof runtimes) > 1) {
        fprintf(stderr, "tripass: two OpenMP runtimes are loaded: %s; try a build with gcc alone\n",
                runtimes);
        return false;
    }
    const char *reason = topology_load(&s->topology);
    if (!reason)
        reason = topology_place(&s->topology, &study->placement);
    if (reason) {
        fprintf(stderr, "tripass: topology: %s; try lstopo to see what hwloc finds\n", reason);
        return false;
    }
    s->board_file = memfd_create("tripass", 0);
    s->ceilings = calloc((size_t)study->thread_count, sizeof *s->ceilings);
    if (!board_open(&s->board, study, s->board_file) || !s->ceilings) {
        perror("tripass: cannot share memory with a worker");
        return false;
    }
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    return true;
}

static void close_supervisor(struct supervisor *s)
{
    board_close(&s->board);
    close(s->board_file);
    topology_free(&s->topology);
    free(s->inbox);
    free(s->ceilings);
}

/* Opens the record of a new or a resumed study. Returns how many points are done, -1 on failure, which is said. */
static int open_record(struct supervisor *s, struct machine *machine)
{
    const struct study *study = s->study;
    const enum resume_state state = study->resume ? resume_look(study->out) : RESUME_BEGINNING;
    if (state == RESUME_BEGINNING)
        return record_open(&s->record, study->out, study->phases, study->force || study->resume) ? 0 : -1;
    if (state == RESUME_IMPOSSIBLE || !machine_resume(machine, study->out))
        return -1;
    const int done = resume_load(&s->board, study->out, &s->failed);
    return done >= 0 && record_reopen(&s->record, study->out, study->phases) ? done : -1;
}

int study_run(const struct study *study, int argc, char **argv)
{
    struct supervisor s;
    if (!open_supervisor(&s, study, argc, argv))
        return 2;
    struct machine machine = {.topology = &s.topology,
                              .study = study,
                              .argc = argc,
                              .argv = argv,
                              .start = time(NULL),
                              .ceilings = s.ceilings};
    const int done = open_record(&s, &machine);
    if (done < 0) {
        machine_forget(&machine);
        close_supervisor(&s);
        return 2;
    }
    if (study->budget_s > 0)
        s.deadline = clock_now() + study->budget_s;
    progress_start(&s.progress,
                   study->repetitions * study->thread_count * study_groups(study) * study->impl_count - done,
                   s.deadline);
    s.broken = s.record.dir && !machine_write(&machine, s.record.dir);
    if (study->phases)
        profile_print_table_header(s.record.dir ? stdout : stderr);
    run_all(&s);
    progress_clear(&s.progress);
    tell_budget(&s);
    machine.end = time(NULL);
    machine.completed = !stop_signal && !s.broken;
    if (s.record.dir && !s.broken)
        s.broken = !machine_write(&machine, s.record.dir);
    s.broken |= !record_close(&s.record);
    machine_forget(&machine);
    close_supervisor(&s);
    return s.broken ? 2 : stop_signal ? 128 + stop_signal : s.failed ? 1 : 0;
}

int study_ceilings(const struct study *study, int argc, char **argv, struct ceiling *ceilings)
{
    struct supervisor s;
    struct study empty = *study;
    empty.layer_count = 0;
    empty.repetitions = 1;
    if (!open_supervisor(&s, &empty, argc, argv))
        return 2;
    s.record.samples = -1;
    run_all(&s);
    for (int i = 0; i < study->thread_count && !stop_signal && !s.broken; i++)
        if (!s.ceilings[i].threads) {
            fprintf(stderr,
                    "tripass: %d threads: the worker ended before it had measured the ceilings; try again\n",
                    study->threads[i]);
            s.broken = true;
        }
    memcpy(ceilings, s.ceilings, (size_t)study->thread_count * sizeof *ceilings);
    close_supervisor(&s);
    return s.broken ? 2 : stop_signal ? 128 + stop_signal : 0;
}
