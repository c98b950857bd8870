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
    int layer_count;   /* of the study; the layers lie on the board */
    double best_flops; /* FMA ceiling that an earlier worker of this thread count measured, 0: none */
    double deadline;   /* CLOCK_MONOTONIC time at which the study's budget ends; 0: none */
};

int assignment_print(const struct assignment *assignment, char *text, size_t size);
bool assignment_parse(struct assignment *assignment, const char *text);

#endif
