/* See message.h. SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MARK = 0x33507254, /* any number that is no text and no small integer */
    CHUNK = 1 << 16    /* the capacity of a pipe */
};

static bool send_all(int pipe, const void *data, size_t bytes)
{
    for (size_t sent = 0; sent < bytes;) {
        const ssize_t n = write(pipe, (const char *)data + sent, bytes - sent);
        if (n <= 0 && errno != EINTR) /* a timer that an implementation has set */
            return false;
        sent += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool message_send(int pipe, struct message message, const void *payload)
{
    static uint32_t number;
    message.mark = MARK;
    message.number = number++;
    return send_all(pipe, &message, sizeof message) && send_all(pipe, payload, message.bytes);
}

static bool is_sound(const struct message *message, uint32_t number)
{
    return message->mark == MARK && message->number == number && message->kind < MESSAGE_KINDS &&
           message->status <= STATUS_TIMEOUT && memchr(message->reason, 0, sizeof message->reason);
}

/* Hands on the whole messages; what is behind them stays. */
static bool deliver(struct inbox *inbox, message_fn *receive, void *context)
{
    size_t at = 0;
    struct message message;
    while (inbox->used - at >= sizeof message) {
        memcpy(&message, inbox->bytes + at, sizeof message);
        if (!is_sound(&message, inbox->number))
            return false;
        if (inbox->used - at - sizeof message < message.bytes)
            break;
        if (!receive(context, &message, inbox->bytes + at + sizeof message))
            return false;
        inbox->number++;
        at += sizeof message + message.bytes;
    }
    memmove(inbox->bytes, inbox->bytes + at, inbox->used -= at);
    return true;
}

enum inbox_state inbox_read(struct inbox *inbox, message_fn *receive, void *context)
{
    if (inbox->room - inbox->used < CHUNK) {
        inbox->room = 2 * inbox->used + CHUNK;
        inbox->bytes = realloc(inbox->bytes, inbox->room);
        if (!inbox->bytes)
            abort();
    }
    const ssize_t got = read(inbox->pipe, inbox->bytes + inbox->used, CHUNK);
    if (got < 0)
        return errno == EINTR ? INBOX_MORE : errno == EAGAIN ? INBOX_EMPTY : INBOX_ENDED;
    if (got == 0)
        return INBOX_ENDED;
    inbox->used += (size_t)got;
    return deliver(inbox, receive, context) ? INBOX_MORE : INBOX_GARBLED;
}
