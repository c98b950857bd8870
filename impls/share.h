/* Work that the threads of a team share: each begins with a range of its own, and who is done takes from those who are
 * not. On a machine whose cores are not equally fast (other tenants, two kinds of cores) nobody waits for the slowest;
 * on one that is quiet each thread keeps to what it read last time. Only for work whose results do not depend on who
 * did it.
 *
 * After Polychronopoulos and Kuck, "Guided Self-Scheduling", IEEE Transactions on Computers 36(12), 1987.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SHARE_H
#define TRIPASS_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>

/* Units [next, end) that nobody has taken; one for each thread, on a cache line of its own. Pieces stay within a row of
 * units, which are cheaper together, and have at least `least` if the row has. */
struct share {
    _Alignas(64) atomic_long next;
    long end, row, least;
};

/* The range of a thread; before the team begins. */
static inline void share_open(struct share *share, long begin, long end, long row, long least)
{
    atomic_init(&share->next, begin);
    share->end = end;
    share->row = row;
    share->least = least;
}

/* Equal ranges of `total` units that are all alike, for each thread. */
static inline void share_evenly(struct share *share, int threads, long total)
{
    for (int t = 0; t < threads; t++)
        share_open(&share[t], total * t / threads, total * (t + 1) / threads, total, 1);
}

/* A piece [*begin, *end) for thread `self`: at most a quarter of what is left of a range, for small pieces at the end
 * make all finish together. False: all is taken. */
static inline bool share_take(struct share *share, int threads, int self, long *begin, long *end)
{
    for (int i = 0; i < threads; i++) {
        struct share *s = &share[(self + i) % threads];
        long at = atomic_load_explicit(&s->next, memory_order_relaxed);
        while (at < s->end) {
            const long quarter = (s->end - at + 3) / 4, wanted = quarter > s->least ? quarter : s->least;
            const long row_end = (at / s->row + 1) * s->row, most = row_end < s->end ? row_end : s->end;
            const long next = at + wanted < most ? at + wanted : most;
            if (atomic_compare_exchange_weak_explicit(&s->next, &at, next, memory_order_relaxed,
                                                      memory_order_relaxed)) {
                *begin = at;
                *end = next;
                return true;
            }
        }
    }
    return false;
}

#endif
