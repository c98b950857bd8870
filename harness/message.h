/* What a worker says to its supervisor, on a pipe. The supervisor believes no byte of it before it has looked: an
 * implementation may write into any descriptor of its process.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_MESSAGE_H
#define TRIPASS_MESSAGE_H

#include "record.h"

enum message_kind {
    MESSAGE_CEILING,
    MESSAGE_POINT,
    MESSAGE_SAMPLES,
    MESSAGE_PHASES,
    MESSAGE_TABLE,
    MESSAGE_PROBE,
    MESSAGE_KINDS
};

/* A message: this, then `bytes` bytes. */
struct message {
    uint32_t mark, number; /* message_send fills them in: a constant; how many messages came before */
    enum message_kind kind;
    int group, impl;    /* MESSAGE_POINT: whose row it is */
    enum status status; /* MESSAGE_POINT, and why: */
    char reason[sizeof((struct point *)0)->reason];
    char flags[sizeof((struct point *)0)->flags];
    double median_s; /* NAN: not timed */
    /* MESSAGE_CEILING: a struct ceiling; MESSAGE_PROBE: a double, the best FMA probe so far, flop/s; MESSAGE_TABLE: lines
     * for people; else CSV rows */
    size_t bytes;
};

/* Sends one through the pipe. False: nobody reads any more. */
bool message_send(int pipe, struct message message, const void *payload);

/* The reading end; all zero at first but for the pipe, which does not block. */
struct inbox {
    int pipe;
    char *bytes; /* what has been read and is no whole message yet */
    size_t used, room;
    uint32_t number;
};

enum inbox_state {
    INBOX_MORE,   /* there may be more to read */
    INBOX_EMPTY,  /* not now */
    INBOX_ENDED,  /* nobody holds the other end any more */
    INBOX_GARBLED /* something else than messages; nothing that follows can be understood */
};

/* Receives a message. False: it makes no sense. */
typedef bool message_fn(void *context, const struct message *message, const char *payload);

/* Reads once and hands on what has become whole. */
enum inbox_state inbox_read(struct inbox *inbox, message_fn *receive, void *context);

#endif
