/* A worker process as its supervisor sees it: started in a process group of its own, so that what it starts ends with
 * it; watched; ended. And the signals that end a study.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CHILD_H
#define TRIPASS_CHILD_H

#include "message.h"
#include "runner.h"

#include <sys/types.h>

struct child {
    pid_t pid;
    struct inbox inbox;
    int wait_status; /* after child_watch */
};

/* How it came to its end. */
enum child_end {
    CHILD_ENDED,    /* by itself: see wait_status. The others were killed: */
    CHILD_STUCK,    /* no step for timeout_s */
    CHILD_CLOSED,   /* it lives, but its pipe is closed */
    CHILD_GARBLED,  /* something else than messages came out of the pipe */
    CHILD_LINGERED, /* its page says that its work is done, but it does not end */
    CHILD_STOPPED   /* the caller wants no more */
};

struct watch {
    const struct page *page; /* shared with the worker */
    double timeout_s;        /* 0: none */
    message_fn *receive;
    bool (*stop)(void *context);
    void *context;
};

/* Forks. The child calls become(context, the pipe's end to write into), which must not return. False: errno. */
bool child_start(struct child *child, void (*become)(void *context, int pipe), void *context);

/* Receives what it sends until it has ended or been killed; then nothing is left of its process group, and what it had
 * sent has been received. */
enum child_end child_watch(struct child *child, const struct watch *watch);

/* From now on SIGINT and SIGTERM are only noted, and SIGTSTP stops the worker too. Which one came; 0: none. */
void child_signals_catch(void);
int child_signal(void);

#endif
