/* Buffers with canaries in huge pages. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "memory.h"

#include "cgroup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum {
    HUGE_PAGE = 2 << 20,
    CANARY = 1 << 16, /* bytes on either side: wider than most rows that a kernel may write too far */
    CANARY_BYTE = 0xC5,
    GUARD = 1 << 16, /* bytes that nobody may touch on either side: a multiple of any page */
    /* An odd number of lines near 4096 / golden ratio past a page: successive places spread evenly over the 64
     * lines of a 4 KiB page, which is one way of a 32 KiB L1 cache. */
    STAGGER = 4096 + 39 * 64,
    PLACES = 64,
    CHUNK = 1 << 16 /* bytes that one thread touches or hashes at a time */
};

static uintptr_t round_up(uintptr_t address)
{
    return (address + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
}

size_t buffer_footprint(size_t bytes)
{
    const size_t within = 2 * CANARY + PLACES * STAGGER, around = 2 * GUARD + 2 * (size_t)HUGE_PAGE;
    size_t sum;
    if (__builtin_add_overflow(bytes, within + around, &sum) || sum > PTRDIFF_MAX)
        return SIZE_MAX;
    return 2 * GUARD + HUGE_PAGE + round_up(bytes + within); /* a huge page more to begin at one's boundary */
}

static unsigned char *canary_before(const struct buffer *buffer)
{
    return (unsigned char *)buffer->data - CANARY;
}

static unsigned char *canary_after(const struct buffer *buffer)
{
    return (unsigned char *)buffer->data + buffer->bytes;
}

bool buffer_alloc(struct buffer *buffer, size_t bytes, int place, int poison, int threads)
{
    *buffer = (struct buffer){.bytes = bytes, .map_bytes = buffer_footprint(bytes)};
    buffer->map = mmap(NULL, buffer->map_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (buffer->map == MAP_FAILED) {
        *buffer = (struct buffer){0};
        return false;
    }
    const uintptr_t start = round_up((uintptr_t)buffer->map + GUARD);
    buffer->data = (void *)(start + CANARY + (size_t)(place % PLACES) * STAGGER);
    const uintptr_t end = round_up((uintptr_t)canary_after(buffer) + CANARY);
    madvise((void *)start, end - start, MADV_HUGEPAGE);
    mprotect((void *)(start - GUARD), GUARD, PROT_NONE);
    mprotect((void *)end, GUARD, PROT_NONE);
    buffer_poison(buffer, poison, threads);
    buffer_canaries_restore(buffer);
    return true;
}

void buffer_free(struct buffer *buffer)
{
    if (buffer->map)
        munmap(buffer->map, buffer->map_bytes);
    *buffer = (struct buffer){0};
}

void buffer_poison(const struct buffer *buffer, int poison, int threads)
{
    char *data = buffer->data;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t at = 0; at < buffer->bytes; at += CHUNK)
        memset(data + at, poison, buffer->bytes - at < CHUNK ? buffer->bytes - at : CHUNK);
}

void buffer_canaries_restore(const struct buffer *buffer)
{
    if (!buffer->map)
        return;
    memset(canary_before(buffer), CANARY_BYTE, CANARY);
    memset(canary_after(buffer), CANARY_BYTE, CANARY);
}

size_t buffer_poisoned(const struct buffer *buffer, int threads, size_t *first)
{
    const uint32_t *word = buffer->data;
    const size_t words = buffer->bytes / sizeof *word;
    size_t poisoned = 0, least = words;
#pragma omp parallel for num_threads(threads) reduction(+ : poisoned) reduction(min : least)
    for (size_t i = 0; i < words; i++)
        if (word[i] == UINT32_MAX) {
            poisoned++;
            least = least < i ? least : i;
        }
    *first = least;
    return poisoned;
}

/* All bytes are equal if the first is right and each equals the one behind it. */
static bool all_canary(const unsigned char *bytes)
{
    return *bytes == CANARY_BYTE && !memcmp(bytes, bytes + 1, CANARY - 1);
}

bool buffer_canaries_intact(const struct buffer *buffer)
{
    return !buffer->map || (all_canary(canary_before(buffer)) && all_canary(canary_after(buffer)));
}

/* FNV-1a over words, mixed with the chunk's position so that the sum over chunks may be taken in any order. */
static uint64_t chunk_hash(const unsigned char *data, size_t bytes, uint64_t position)
{
    uint64_t hash = 0xCBF29CE484222325 ^ (position * 0x9E3779B97F4A7C15), word;
    for (size_t at = 0; at < bytes; at += sizeof word) {
        word = 0;
        memcpy(&word, data + at, bytes - at < sizeof word ? bytes - at : sizeof word);
        hash = (hash ^ word) * 0x100000001B3;
        hash ^= hash >> 29;
    }
    return hash;
}

uint64_t buffer_hash(const struct buffer *buffer, int threads)
{
    const unsigned char *data = buffer->data;
    uint64_t sum = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
    for (size_t at = 0; at < buffer->bytes; at += CHUNK)
        sum += chunk_hash(data + at, buffer->bytes - at < CHUNK ? buffer->bytes - at : CHUNK, at);
    return sum;
}

static double memory_available(void)
{
    double kib = INFINITY;
    char line[256];
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lf", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * 1024;
}

/* Bytes of it that this process has mapped already: some 350 MB of libraries. */
static double address_space(void)
{
    double kib = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmSize: %lf", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * 1024;
}

size_t memory_limit(void)
{
    struct rlimit space;
    double left = fmin(memory_available(), cgroup_memory_left(""));
    if (!getrlimit(RLIMIT_AS, &space) && space.rlim_cur != RLIM_INFINITY)
        left = fmin(left, fmax((double)space.rlim_cur - address_space(), 0));
    return (size_t)(0.75 * fmin(left, 0x1p62)); /* a quarter for what libraries allocate, and for others */
}

char *memory_text(double bytes, char *text, size_t size)
{
    static const char units[][3] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    int unit = 0;
    while (bytes >= 999.5 && unit < 6) {
        bytes /= 1000;
        unit++;
    }
    snprintf(text, size, "%.*f %s", unit == 0 || bytes >= 99.95 ? 0 : 1, bytes, units[unit]);
    return text;
}
