/* What a supervisor and its worker say to each other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_WORKER_H
#define TRIPASS_WORKER_H

#include "ceiling.h"
#include "runner.h"

/* A worker's task, passed as text. */
struct assignment {
    int rep, thread_index; /* the repetition; which of study->threads */
    int ceiling;           /* 1: measure the ceilings first */
    int pipe, board;   /* inherited file descriptors: messages go into one, struct board lies in the other */
    double best_flops; /* FMA ceiling that an earlier worker of this thread count measured, 0: none */
    double deadline;   /* CLOCK_MONOTONIC time at which the study's budget ends; 0: none */
};

int assignment_print(const struct assignment *assignment, char *text, size_t size);
bool assignment_parse(struct assignment *assignment, const char *text);

/* A message on the pipe: this, then `bytes` bytes. */
enum message_kind { MESSAGE_CEILING, MESSAGE_POINT, MESSAGE_SAMPLES, MESSAGE_PHASES, MESSAGE_TABLE };

struct message {
    enum message_kind kind;
    int group, impl;    /* MESSAGE_POINT: whose row it is */
    enum status status; /* MESSAGE_POINT, and why: */
    char reason[sizeof((struct point *)0)->reason];
    size_t bytes; /* MESSAGE_CEILING: a struct ceiling; MESSAGE_TABLE: lines for people; else CSV rows */
};

#endif
