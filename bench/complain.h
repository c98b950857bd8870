/* What a user did wrong, in one line on stderr. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_COMPLAIN_H
#define TRIPASS_COMPLAIN_H

#include <stddef.h>

/* Exit statuses of every command (with 128 + signal when interrupted). */
enum { EXIT_ALL_GOOD = 0, EXIT_SOME_FAILED = 1, EXIT_BAD_USAGE = 2 };

/* Prints "tripass: " and the message, by convention "what: why; try X", as one line whatever it quotes (control
 * characters become '?'), and ends the program with EXIT_BAD_USAGE. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The name that `text` may have been meant to be: fewest edits, at most a third of its length and one more.
 * names: an array of NULL-terminated strings, ended by NULL. NULL if none is near. */
const char *nearest_name(const char *text, const char *const *names);

/* malloc, but lack of memory is a usage_error. */
void *must_allocate(void *old, size_t count, size_t size);

#endif
