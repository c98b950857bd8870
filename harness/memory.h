/* Every byte that implementations work on. A buffer is anonymous memory of its own:
 *
 *     guard | 2 MiB boundary | stagger | canary | data, 64-byte aligned | canary | ... | 2 MiB boundary | guard
 *
 * in huge pages where the system gives them; first touched by the team in the static partition, so that pages lie
 * near the threads that will use them; staggered, so that tensors of power-of-two sizes do not start in the same
 * cache set. A write outside is seen: up to 64 KiB off by the canary, from the guard on, which cannot be written, by a
 * crash. What falls between them is not seen: the guards keep to the boundaries, for a huge page must be of one kind.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_MEMORY_H
#define TRIPASS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POISON_NAN = 0xFF, POISON_SCRATCH = 0xA5 }; /* four bytes 0xFF are a NaN, 0xA5 a tiny odd float */

struct buffer {
    void *data;
    size_t bytes;
    void *map;
    size_t map_bytes;
};

/* bytes may be 0. place: any small number, different for buffers that are used together; it chooses the stagger.
 * The data are filled with `poison` by `threads` threads. Returns false if the system has no memory left. */
bool buffer_alloc(struct buffer *buffer, size_t bytes, int place, int poison, int threads);
void buffer_free(struct buffer *buffer); /* of a zeroed one: nothing */

void buffer_poison(const struct buffer *buffer, int poison, int threads);
bool buffer_canaries_intact(const struct buffer *buffer);
void buffer_canaries_restore(const struct buffer *buffer); /* after somebody wrote outside */

/* How many words of the data are still POISON_NAN, and where the first of them is. */
size_t buffer_poisoned(const struct buffer *buffer, int threads, size_t *first);

/* A fingerprint of the data, the same for any thread count: has anything changed? */
uint64_t buffer_hash(const struct buffer *buffer, int threads);

/* What buffer_alloc takes from the system for that many bytes; SIZE_MAX if it cannot be counted. */
size_t buffer_footprint(size_t bytes);

/* Bytes that a study may use: 3/4 of what MemAvailable, the cgroups and RLIMIT_AS leave. */
size_t memory_limit(void);

/* "161 GB", "18.2 MB": at most three digits, decimal units. Returns text. */
char *memory_text(double bytes, char *text, size_t size);

#endif
