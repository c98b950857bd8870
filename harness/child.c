/* See child.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "child.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_MS = 100 };
/* A round of the watch that took longer than ten polls was one in which this process itself was stopped (Ctrl-Z, a
 * laptop's lid): such time is nobody's delay. */
static const double ROUND_S = 10 * POLL_MS * 1e-3;
/* For the end of a process that has freed its memory and has nothing left to do: milliseconds; on a busy machine, a
 * second. */
static const double END_S = 10;

static volatile sig_atomic_t stop_signal, pause_wanted;

static void on_signal(int signal)
{
    if (signal == SIGTSTP)
        pause_wanted = 1;
    else
        stop_signal = signal;
}

static void note(int signal)
{
    const struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: poll returns */
    sigaction(signal, &action, NULL);
}

void child_signals_catch(void)
{
    note(SIGINT);
    note(SIGTERM);
    note(SIGTSTP);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond ulimit -f then fails and is said */
}

int child_signal(void)
{
    return stop_signal;
}

bool child_start(struct child *child, void (*become)(void *context, int pipe), void *context)
{
    int ends[2];
    const pid_t parent = getpid();
    fflush(NULL);
    if (pipe(ends))
        return false;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    free(child->inbox.bytes);
    *child = (struct child){.inbox = {.pipe = ends[0]}, .pid = fork()};
    if (child->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphans */
        if (getppid() != parent)
            _exit(EXIT_FAILURE); /* it died before that */
        setpgid(0, 0);
        signal(SIGINT, SIG_IGN);  /* the supervisor decides */
        signal(SIGTTOU, SIG_IGN); /* in the background, yet it may write to the terminal */
        signal(SIGTSTP, SIG_DFL);
        become(context, ends[1]);
        _exit(EXIT_FAILURE);
    }
    const int error = errno;
    close(ends[1]);
    if (child->pid < 0) {
        close(ends[0]);
        errno = error;
        return false;
    }
    setpgid(child->pid, child->pid); /* whoever of the two comes first */
    return true;
}

/* Ctrl-Z: the terminal tells this process alone. */
static void pause_both(pid_t worker)
{
    pause_wanted = 0;
    kill(-worker, SIGSTOP);
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    note(SIGTSTP);
    kill(-worker, SIGCONT);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == pid;
}

/* Kills what is left of the worker and its group. The worker is waited for last, so that no other process can have got
 * its number. */
static void end_group(struct child *child)
{
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &child->wait_status, 0) < 0 && errno == EINTR)
        ;
}

enum child_end child_watch(struct child *child, const struct watch *watch)
{
    const struct page *page = watch->page;
    const double end_s = watch->timeout_s > 0 ? fmin(END_S, watch->timeout_s) : END_S;
    unsigned long step = page->step;
    double still_s = 0, over_s = 0, last = clock_now();
    struct pollfd pollfd = {.fd = child->inbox.pipe, .events = POLLIN};
    enum inbox_state inbox = INBOX_EMPTY;
    enum child_end end = CHILD_ENDED;
    while (end == CHILD_ENDED && !has_ended(child->pid)) {
        if (poll(&pollfd, 1, POLL_MS) > 0)
            inbox = inbox_read(&child->inbox, watch->receive, watch->context);
        if (pause_wanted)
            pause_both(child->pid);
        const double now = clock_now(), round_s = fmin(now - last, ROUND_S);
        const bool over = inbox == INBOX_ENDED || page->state == WORKER_FINISHED;
        last = now;
        still_s = page->step == step ? still_s + round_s : 0;
        over_s = over ? over_s + round_s : 0;
        step = page->step;
        if (inbox == INBOX_ENDED)
            pollfd.fd = -1; /* it would say so again at once */
        if (watch->stop(watch->context))
            end = CHILD_STOPPED;
        else if (inbox == INBOX_GARBLED)
            end = CHILD_GARBLED;
        else if (over_s > end_s)
            end = inbox == INBOX_ENDED ? CHILD_CLOSED : CHILD_LINGERED;
        else if (watch->timeout_s > 0 && still_s > watch->timeout_s)
            end = CHILD_STUCK;
    }
    end_group(child);
    do
        if (inbox != INBOX_GARBLED)
            inbox = inbox_read(&child->inbox, watch->receive, watch->context);
    while (inbox == INBOX_MORE && !watch->stop(watch->context));
    close(child->inbox.pipe);
    return inbox == INBOX_GARBLED ? CHILD_GARBLED : end;
}
