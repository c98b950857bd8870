/* The supervisor. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "supervise.h"

#include "board.h"
#include "child.h"
#include "clock.h"
#include "machine.h"
#include "problem_string.h"
#include "profile.h"
#include "progress.h"
#include "quiet.h"
#include "record.h"
#include "resume.h"
#include "tally.h"
#include "topology.h"
#include "worker.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct supervisor {
    const struct study *study;
    int argc;
    char **argv;
    struct topology topology;
    struct record record;
    struct ceiling *ceilings;
    struct progress progress;
    struct tally tally;
    double deadline;
    struct board board, own; /* the one that workers see; what this process knows */
    int board_file, lock;
    bool failed; /* some point is FAIL, CRASH or TIMEOUT, or a process ended badly after its points */
    bool broken; /* the environment: no use going on */
    bool warned;

    /* the worker now running */
    struct assignment task;
    struct child child;
    int rows;     /* points that have got their first row since it began */
    int attempts; /* how many workers in a row ended before their first group */
};

enum { OOM_SCORE_WORST = 1000, ATTEMPTS = 3 };

static int groups_of(const struct supervisor *s)
{
    return study_groups(s->study);
}

static const struct layer *layer_of(const struct supervisor *s, int group)
{
    return &s->study->layers[group / s->study->output_count];
}

static enum conv_tensor output_of(const struct supervisor *s, int group)
{
    return s->study->outputs[group % s->study->output_count];
}

/* How many rows each implementation of a group has in the present task. */
static unsigned char *done_of(const struct supervisor *s, int group)
{
    return board_done(&s->own, s->task.rep, s->task.thread_index, group);
}

static bool is_open(const struct supervisor *s, int group)
{
    return memchr(done_of(s, group), 0, (size_t)s->study->impl_count);
}

/* The first group of the task that lacks a row; groups_of() if none does. */
static int first_open_group(const struct supervisor *s)
{
    int group = 0;
    while (group < groups_of(s) && !is_open(s, group))
        group++;
    return group;
}

__attribute__((format(printf, 2, 3))) static void say(struct supervisor *s, const char *format, ...)
{
    va_list arguments;
    progress_clear(&s->progress);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

/* ---- starting a worker ---- */

/* Variables that make oneDNN print a line in every call. */
static const char *const talkers[] = {"ONEDNN_VERBOSE", "DNNL_VERBOSE", "MKLDNN_VERBOSE", NULL};

static void set_number(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

/* The environment of its OpenMP team, and of nothing that talks while it is timed. */
static void set_environment(const struct supervisor *s)
{
    static const char *const removed[] = {"GOMP_CPU_AFFINITY", "OMP_THREAD_LIMIT"};
    static char places[16 * CORES_MAX];
    topology_places(&s->topology, places, sizeof places);
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++)
        unsetenv(removed[i]);
    for (int i = 0; !s->study->check_only && talkers[i]; i++)
        unsetenv(talkers[i]);
    setenv("OMP_PLACES", places, 1);
    setenv("OMP_PROC_BIND", "close", 1);
    setenv("OMP_DYNAMIC", "false", 1);
    setenv("OMP_WAIT_POLICY", "active", 1);
    set_number("OMP_MAX_ACTIVE_LEVELS", 1);
    set_number("OMP_NUM_THREADS", s->study->threads[s->task.thread_index]);
}

/* In the child: becomes the worker, or dies. */
static void become_worker(void *context, int pipe)
{
    struct supervisor *s = context;
    char option[512] = "--worker=", *argv[s->argc + 2];
    const int oom = open("/proc/self/oom_score_adj", O_WRONLY), null = open("/dev/null", O_RDONLY);
    if (oom >= 0) {
        dprintf(oom, "%d", OOM_SCORE_WORST); /* rather the worker than its supervisor */
        close(oom);
    }
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* whatever a library prints is no row */
    close(null);
    topology_unbind(&s->topology);
    set_environment(s);
    s->task.pipe = pipe;
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
}

static bool start_worker(struct supervisor *s)
{
    s->rows = 0;
    s->task.board = s->board_file;
    s->task.layer_count = s->study->layer_count;
    board_publish(&s->board, &s->own);
    *s->board.page = (struct page){.group = first_open_group(s),
                                   .impl = -1,
                                   .unpaid = s->board.page->unpaid,
                                   .unpaid_s = s->board.page->unpaid_s};
    const bool started = child_start(&s->child, become_worker, s);
    if (!started)
        perror("tripass: cannot start a worker");
    return started;
}

/* ---- what it reports ---- */

/* A point that failed is said at once: a study may go on for hours. */
/* The ceiling is the best probe of all: a disturbed one at the beginning is none. */
static void note_probe(struct supervisor *s, const char *payload)
{
    double *best = &s->ceilings[s->task.thread_index].fma_flops[s->study->isa], probe;
    memcpy(&probe, payload, sizeof probe);
    if (isfinite(probe) && probe > *best)
        *best = probe;
}

static void say_failure(struct supervisor *s, const struct message *point, const char *what)
{
    char problem[PROBLEM_STRING_MAX];
    problem_string_print(&layer_of(s, point->group)->problem, problem, sizeof problem);
    say(s, "%s: %s (%s): %s\n", status_name(point->status), what, problem, point->reason);
}

/* row: the point as its line of points.csv, point->bytes long. */
static void write_point(struct supervisor *s, const struct message *point, const char *row)
{
    char text[256], where[64], problem[PROBLEM_STRING_MAX], flags[sizeof point->flags];
    const struct layer *layer = layer_of(s, point->group);
    unsigned char *done = &done_of(s, point->group)[point->impl];
    problem_string_print(&layer->problem, problem, sizeof problem);
    snprintf(text, sizeof text, "%s %s %.100s", conv_pass_name(output_of(s, point->group)),
             s->study->impls[point->impl]->name, *layer->name ? layer->name : problem);
    snprintf(where, sizeof where, "process %d of %d: ", s->task.rep + 1, s->study->repetitions);
    snprintf(flags, sizeof flags, "%.*s", (int)sizeof point->flags - 1, point->flags);
    tally_add(&s->tally, s->task.rep * s->study->thread_count + s->task.thread_index, point->group,
              point->impl, flags, point->median_s);
    if (point->status >= STATUS_FAIL) {
        s->failed = true;
        say_failure(s, point, text);
    }
    if (!*done) { /* else measured again */
        char step[sizeof where + sizeof text];
        snprintf(step, sizeof step, "%s%s", where, text);
        progress_step(&s->progress, step);
        s->rows++;
    }
    *done += *done < UCHAR_MAX;
    s->broken |= !record_write(s->record.points, row, point->bytes);
}

static void note_ceiling(struct supervisor *s, const char *payload)
{
    struct ceiling *ceiling = &s->ceilings[s->task.thread_index];
    memcpy(ceiling, payload, sizeof *ceiling);
    if (!ceiling->pinned && !s->warned)
        say(s, "tripass: threads could not be bound to cores; times will vary more (column pinned = 0)\n");
    s->warned |= !ceiling->pinned;
}

/* After a write that failed nothing more is recorded: a point is there only if its samples are. */
static bool receive(void *context, const struct message *message, const char *payload)
{
    struct supervisor *s = context;
    const struct record *record = &s->record;
    if (s->broken)
        return true;
    switch (message->kind) {
    case MESSAGE_CEILING:
        if (message->bytes != sizeof(struct ceiling))
            return false;
        note_ceiling(s, payload);
        break;
    case MESSAGE_PROBE:
        if (message->bytes != sizeof(double))
            return false;
        note_probe(s, payload);
        break;
    case MESSAGE_SAMPLES:
        s->broken = record->samples >= 0 && !record_write(record->samples, payload, message->bytes);
        break;
    case MESSAGE_PHASES:
        s->broken = record->phases >= 0 && !record_write(record->phases, payload, message->bytes);
        break;
    case MESSAGE_TABLE:
        progress_clear(&s->progress);
        fwrite(payload, 1, message->bytes, record->dir ? stdout : stderr);
        fflush(stdout);
        break;
    case MESSAGE_POINT:
        if (message->group < 0 || message->group >= groups_of(s) || message->impl < 0 ||
            message->impl >= s->study->impl_count)
            return false;
        write_point(s, message, payload);
        break;
    default: return false;
    }
    return true;
}

/* ---- how it ended ---- */

static bool is_stopped(void *context)
{
    const struct supervisor *s = context;
    return child_signal() || s->broken;
}

/* In words, behind the name of whoever is to blame. */
static void describe_end(const struct supervisor *s, enum child_end end, char *text, size_t size)
{
    const int status = s->child.wait_status;
    if (end == CHILD_STUCK)
        snprintf(text, size, "no progress for %g s", s->study->timeout_s);
    else if (end == CHILD_CLOSED)
        snprintf(text, size, "closed the pipe to the supervisor");
    else if (end == CHILD_GARBLED)
        snprintf(text, size, "wrote into the pipe to the supervisor");
    else if (end == CHILD_LINGERED)
        snprintf(text, size, "the process does not end");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "%s%s", strsignal(WTERMSIG(status)),
                 WTERMSIG(status) == SIGKILL ? " (out of memory?)" : "");
    else
        snprintf(text, size, "ended the process with status %d", WEXITSTATUS(status));
}

static void write_culprit(struct supervisor *s, int group, int impl, enum status status, const char *reason)
{
    char *row;
    size_t bytes;
    struct point point = point_of(s->study, layer_of(s, group), output_of(s, group), s->study->impls[impl]);
    point.threads = s->study->threads[s->task.thread_index];
    point.rep = s->task.rep;
    point_set_status(&point, status, "%s", reason);
    FILE *file = open_memstream(&row, &bytes);
    point_print(file, &point);
    fclose(file);
    struct message message = {
        .kind = MESSAGE_POINT, .group = group, .impl = impl, .status = point.status, .bytes = bytes};
    memcpy(message.reason, point.reason, sizeof message.reason);
    write_point(s, &message, row);
    free(row);
}

/* All that lack a row in the group: nobody knows whose fault it was. */
static void write_group(struct supervisor *s, int group, enum status status, const char *how)
{
    char reason[192];
    snprintf(reason, sizeof reason, "%s outside of any implementation", how);
    for (int impl = 0; impl < s->study->impl_count && !s->broken; impl++)
        if (!done_of(s, group)[impl])
            write_culprit(s, group, impl, status, reason);
}

/* It ended badly behind a point's row: in `destroy`, or at its exit. The row stays. */
static void say_late(struct supervisor *s, int group, int impl, const char *how)
{
    char problem[PROBLEM_STRING_MAX];
    s->failed = true;
    if (impl < 0) {
        say(s,
            "tripass: a worker ended badly after its last point: %s; what an implementation left behind?\n",
            how);
        return;
    }
    problem_string_print(&layer_of(s, group)->problem, problem, sizeof problem);
    say(s, "tripass: %s %s (%s): %s while its plan was destroyed; its rows stay\n",
        conv_pass_name(output_of(s, group)), s->study->impls[impl]->name, problem, how);
}

/* A worker has ended before the task was done: blames whom the page names; or, if it was the harness, its witness, and
 * the second time all that are left of the group. Something is settled whatever the page says, or this would have no
 * end. */
static void blame(struct supervisor *s, enum child_end end, const char *how)
{
    const struct page *page = s->board.page;
    const enum status status = end == CHILD_STUCK ? STATUS_TIMEOUT : STATUS_CRASH;
    const int impl = page->impl, named = page->group, truth = page->truth;
    const int group = named >= 0 && named < groups_of(s) ? named : first_open_group(s);
    const bool somebody = impl >= 0 && impl < s->study->impl_count;
    if (somebody && !done_of(s, group)[impl]) {
        write_culprit(s, group, impl, status, how);
    } else if (somebody && s->rows) {
        say_late(s, group, impl, how);
    } else if (!somebody && truth && !*board_lone(&s->own, group)) {
        *board_lone(&s->own, group) = true;
        say(s, "tripass: %s while the second witness was asked; once more without it\n", how);
    } else if (is_open(s, group)) {
        write_group(s, group, status, how);
    } else if (!s->rows) {
        write_group(s, first_open_group(s), status, how);
    }
}

/* It did not come to its first group, so no point is to blame. What it lacks it lacks again; but a signal may have been
 * chance. */
static void settle_start(struct supervisor *s, enum child_end end, const char *how)
{
    s->task.ceiling = 0;
    if (end == CHILD_ENDED && WIFSIGNALED(s->child.wait_status) && ++s->attempts < ATTEMPTS)
        return;
    say(s,
        "tripass: a worker with %d threads did not come to its first point: %s; try another OMP_STACKSIZE, "
        "ulimit or --timeout\n",
        s->study->threads[s->task.thread_index], how);
    s->broken = true;
}

/* Judges by what the page says and by the rows that came, not by the exit status: anybody can call exit(0). */
static void settle(struct supervisor *s, enum child_end end)
{
    char how[128];
    const int state = s->board.page->state;
    const bool complete = first_open_group(s) == groups_of(s), finished = state == WORKER_FINISHED;
    describe_end(s, end, how, sizeof how);
    if (is_stopped(s))
        return;
    if (state == WORKER_SAID) {
        s->broken = true;
    } else if (state == WORKER_STARTS) {
        settle_start(s, end, how);
    } else if (!complete) {
        blame(s, end, how);
    } else if (!finished || end != CHILD_ENDED || !WIFEXITED(s->child.wait_status) ||
               WEXITSTATUS(s->child.wait_status)) {
        const int group = s->board.page->group, impl = s->board.page->impl;
        const bool named = !finished && group >= 0 && group < groups_of(s) && impl < s->study->impl_count;
        say_late(s, group, named ? impl : -1, how);
    }
    if (state != WORKER_STARTS)
        s->attempts = 0;
    s->task.ceiling = 0;
}

/* One repetition at one thread count, with as many workers as it takes. */
static void run_workers(struct supervisor *s)
{
    const struct watch watch = {.page = s->board.page,
                                .timeout_s = s->study->timeout_s,
                                .receive = receive,
                                .stop = is_stopped,
                                .context = s};
    do {
        if (!start_worker(s)) {
            s->broken = true;
            return;
        }
        settle(s, child_watch(&s->child, &watch));
    } while (!is_stopped(s) && (first_open_group(s) < groups_of(s) || s->attempts));
}

static void run_all(struct supervisor *s)
{
    const struct study *study = s->study;
    for (int rep = 0; rep < study->repetitions; rep++)
        for (int t = 0; t < study->thread_count && !is_stopped(s); t++) {
            s->task = (struct assignment){.rep = rep,
                                          .thread_index = t,
                                          .ceiling = !s->ceilings[t].threads && !study->check_only,
                                          .best_flops = s->ceilings[t].fma_flops[study->isa],
                                          .deadline = s->deadline};
            if (!groups_of(s) || first_open_group(s) < groups_of(s))
                run_workers(s);
        }
}

/* A study is whole when each of its points has a row. */
static void count_points(struct supervisor *s)
{
    const struct study *study = s->study;
    int missing = 0;
    for (int rep = 0; rep < study->repetitions; rep++)
        for (int t = 0; t < study->thread_count; t++)
            for (int i = 0; i < groups_of(s) * study->impl_count; i++)
                missing += !board_done(&s->own, rep, t, 0)[i];
    if (missing && !is_stopped(s)) {
        fprintf(stderr, "tripass: %d points have no row; try --resume\n", missing);
        s->broken = true;
    }
}

/* A budget that does not pay for one call of everything is said to be too small. */
static void tell_budget(const struct supervisor *s)
{
    const struct page *page = s->board.page;
    if (s->study->budget_s > 0 && page->unpaid > 0)
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
    *s = (struct supervisor){.study = study, .argc = argc, .argv = argv, .lock = -1};
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
    s->board_file = board_file(study);
    s->ceilings = calloc((size_t)study->thread_count, sizeof *s->ceilings);
    if (s->board_file < 0 || !board_open(&s->board, study, s->board_file) ||
        !board_open(&s->own, study, -1) || !s->ceilings) {
        perror("tripass: cannot share memory with a worker");
        return false;
    }
    if (!tally_open(&s->tally, study)) {
        perror("tripass: cannot count points");
        return false;
    }
    if (study->layer_count)
        memcpy(board_layers(&s->own), study->layers, (size_t)study->layer_count * sizeof *study->layers);
    child_signals_catch();
    for (int i = 0; !study->check_only && talkers[i]; i++)
        if (getenv(talkers[i]))
            fprintf(stderr, "tripass: %s is set aside: its lines would be timed; try tripass check\n",
                    talkers[i]);
    return true;
}

static void close_supervisor(struct supervisor *s)
{
    record_unlock(s->study->out, s->lock);
    board_close(&s->own);
    board_close(&s->board);
    close(s->board_file);
    topology_free(&s->topology);
    free(s->child.inbox.bytes);
    free(s->ceilings);
    tally_close(&s->tally);
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
    const int done = resume_load(&s->own, study->out, &s->failed);
    return done >= 0 && record_reopen(&s->record, study->out, study->phases) ? done : -1;
}

int study_run(const struct study *study, int argc, char **argv)
{
    struct supervisor s;
    if (!open_supervisor(&s, study, argc, argv))
        return 2;
    const bool locked = !strcmp(study->out, "-") || (s.lock = record_lock(study->out)) >= 0;
    struct machine machine = {.topology = &s.topology,
                              .study = study,
                              .argc = argc,
                              .argv = argv,
                              .start = time(NULL),
                              .ceilings = s.ceilings};
    const int done = locked ? open_record(&s, &machine) : -1;
    if (done < 0) {
        machine_forget(&machine);
        close_supervisor(&s);
        return 2;
    }
    if (!study->check_only)
        machine.quiet = quiet_wait(s.topology.pu, s.topology.pu_count, study->wait_quiet_s);
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
    tally_say(&s.tally);
    count_points(&s);
    s.broken |= !record_close(&s.record, s.broken);
    machine.end = time(NULL);
    machine.completed = !is_stopped(&s);
    if (s.record.dir && !s.broken)
        s.broken = !machine_write(&machine, s.record.dir);
    machine_forget(&machine);
    close_supervisor(&s);
    return s.broken ? 2 : child_signal() ? 128 + child_signal() : s.failed ? 1 : 0;
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
    for (int i = 0; i < study->thread_count && !is_stopped(&s); i++)
        if (!s.ceilings[i].threads) {
            fprintf(stderr,
                    "tripass: %d threads: the worker ended before it had measured the ceilings; try again\n",
                    study->threads[i]);
            s.broken = true;
        }
    memcpy(ceilings, s.ceilings, (size_t)study->thread_count * sizeof *ceilings);
    close_supervisor(&s);
    return s.broken ? 2 : child_signal() ? 128 + child_signal() : 0;
}
