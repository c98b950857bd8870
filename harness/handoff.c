/* Bouncing cache lines, and the two states of cores. SPDX-License-Identifier: Apache-2.0 */
#include "handoff.h"

#include "clock.h"
#include "stats.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    TRIPS = 16, /* 0.8 us and more between two readings of the clock, which take 0.02 to 0.05 us */
    BURSTS = 3, /* the best one counts. 2 * (3 * 16 + 2) trips of 0.74 us are 0.07 ms */
    LOOKS = 64  /* at the line, for each at the clock */
};
/* A partner that slept is there after 0.1 to 0.2 ms; one that was preempted stays away for a slice, 3 ms and more, and
 * is not waited for; for the matrix it is, some slices. */
static const double LIMIT_S = 1e-3, PAIR_LIMIT_S = 0.05, MATRIX_LIMIT_S = 1, FAR_RATIO = 2.5;

/* A pair's line. Processors fetch the neighboring line, too: 2 * 64 bytes. */
struct line {
    _Alignas(128) atomic_uint turn;
};

/* Leaves the core to its other hardware thread for a moment. Not in each look: it takes up to 140 cycles (Skylake). */
static void relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static bool await(const atomic_uint *turn, unsigned value, double end)
{
    for (unsigned looks = 1; atomic_load_explicit(turn, memory_order_acquire) != value; looks++)
        if (looks % LOOKS == 0) {
            relax();
            if (clock_now() > end)
                return false;
        }
    return true;
}

/* One side of a pair: 0 moves at even turns, 1 at odd ones. Nanoseconds there and back, as side 0 sees them; NAN if the
 * partner does not answer. The first trip waits for the partner to come. */
static double bounce(atomic_uint *turn, unsigned side)
{
    double now = clock_now(), best = HUGE_VAL;
    const double end = now + LIMIT_S;
    for (unsigned trip = 0; trip <= 1 + BURSTS * TRIPS; trip++) {
        if (!await(turn, 2 * trip + side, end))
            return (double)NAN;
        if (side == 0 && trip % TRIPS == 1) {
            const double before = now;
            now = clock_now();
            best = trip > 1 ? fmin(best, now - before) : best;
        }
        atomic_store_explicit(turn, 2 * trip + side + 1, memory_order_release);
    }
    return 1e9 * best / TRIPS;
}

/* (0,1), (2,3), ... at once, then (1,2), (3,4), ... */
double handoff_measure(int threads)
{
    struct line *line = aligned_alloc(sizeof *line, (size_t)threads * sizeof *line);
    double sum = 0;
    if (!line)
        return (double)NAN;
    for (int i = 0; i < threads; i++)
        atomic_init(&line[i].turn, 0);
#pragma omp parallel num_threads(threads) reduction(+ : sum)
    {
        const int self = omp_get_thread_num();
        for (int parity = 0; parity < 2; parity++) {
            const int first = self % 2 == parity ? self : self - 1;
            const double ns =
                first >= 0 && first + 1 < threads ? bounce(&line[first].turn, (unsigned)(self - first)) : 0;
            sum += self == first ? ns : 0;
        }
    }
    free(line);
    return threads > 1 ? sum / (threads - 1) : (double)NAN;
}

/* Two threads of a team, while the others wait at its end. */
static double measure_pair(int threads, int one, int other)
{
    struct line line;
    double ns = (double)NAN;
    atomic_init(&line.turn, 0);
#pragma omp parallel num_threads(threads)
    {
        const int self = omp_get_thread_num();
        if (self == one)
            ns = bounce(&line.turn, 0);
        else if (self == other)
            bounce(&line.turn, 1);
    }
    return ns;
}

void handoff_measure_matrix(struct handoff_matrix *matrix, int threads, volatile unsigned long *steps)
{
    const double end = clock_now() + MATRIX_LIMIT_S;
    const int step = (threads + HANDOFF_THREADS - 1) / HANDOFF_THREADS;
    matrix->step = step;
    matrix->size = (threads + step - 1) / step;
    for (int i = 0; i < matrix->size; i++) {
        matrix->ns[i][i] = (double)NAN;
        for (int j = 0; j < i; j++) {
            const double pair_end = fmin(clock_now() + PAIR_LIMIT_S, end);
            double ns = (double)NAN;
            while (isnan(ns) && clock_now() < pair_end)
                ns = measure_pair(threads, j * step, i * step);
            matrix->ns[i][j] = matrix->ns[j][i] = ns;
        }
        ++*steps;
    }
}

/* ---- states ---- */

static int compare_unknown_last(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return isnan(x) || isnan(y) ? !!isnan(x) - !!isnan(y) : (x > y) - (x < y);
}

struct handoff_states handoff_judge(double *ns, int n)
{
    struct handoff_states states = {(double)NAN, (double)NAN, (double)NAN, false, false};
    const int rank = stats_interval_rank(n), r = rank ? rank : 1;
    int known = 0, near = 0;
    qsort(ns, (size_t)n, sizeof *ns, compare_unknown_last);
    while (known < n && !isnan(ns[known]))
        known++;
    if (known >= 2 * r) {
        states.spread = ns[known - r] / ns[r - 1];
        states.limit_ns = FAR_RATIO * ns[r - 1];
        states.moved = states.spread > FAR_RATIO;
    }
    while (near < known && ns[near] <= states.limit_ns)
        near++;
    states.far = states.moved && known - near > near;
    const int first = states.far ? near : 0, end = states.moved && !states.far ? near : known;
    states.ns = stats_quantile(ns + first, end - first, 0.5);
    return states;
}

bool handoff_keeps(const struct handoff_states *states, double ns)
{
    return !states->moved || (states->far ? ns > states->limit_ns : ns <= states->limit_ns);
}
