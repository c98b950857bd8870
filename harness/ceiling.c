/* Roofs, measured. SPDX-License-Identifier: Apache-2.0 */
#include "ceiling.h"

#include "clock.h"
#include "kernels/peak.h"
#include "memory.h"
#include "stats.h"

#include <math.h>
#include <stdint.h>

enum { FMA_CALLS = 9, PASSES = 5 };

double ceiling_fma(enum isa isa, int threads)
{
    static peak_fn *const peak[ISAS] = ISA_TABLE(peak);
    /* 12 chains at 2 a cycle: 6 cycles an iteration, so 2 ms near 3 GHz. */
    const long iterations = 1000 * 1000;
    double flop = 0;
    int right = 0;
    const double start = clock_now();
#pragma omp parallel num_threads(threads) reduction(+ : flop, right)
    {
        float mean;
        flop = peak[isa](iterations, 0.5F, 0.5F, &mean);
        right = mean == 1; /* the work was done, on normal numbers */
    }
    const double seconds = clock_now() - start;
    return right == threads ? flop / seconds : HUGE_VAL; /* so that 0 % of peak makes a broken kernel plain */
}

enum traffic { LOAD, COPY, TRIAD };

/* Arrays of floats; load sums them as integers, because the compiler may not reorder a float sum. */
static double traffic_seconds(enum traffic traffic, float *const array[3], size_t n, int threads)
{
    float *restrict a = array[0], *restrict b = array[1], *restrict c = array[2];
    const uint32_t *words = (const void *)a;
    static volatile uint32_t sink;
    uint32_t sum = 0;
    const double start = clock_now();
    switch (traffic) {
    case LOAD:
#pragma omp parallel for simd num_threads(threads) schedule(static) reduction(+ : sum)
        for (size_t i = 0; i < n; i++)
            sum += words[i];
        sink = sum;
        break;
    case COPY:
#pragma omp parallel for simd num_threads(threads) schedule(static)
        for (size_t i = 0; i < n; i++)
            b[i] = a[i];
        break;
    case TRIAD:
#pragma omp parallel for simd num_threads(threads) schedule(static)
        for (size_t i = 0; i < n; i++)
            c[i] = a[i] + 3.0F * b[i];
        break;
    }
    (void)sink;
    return clock_now() - start;
}

static double bandwidth(enum traffic traffic, float *const array[3], size_t bytes, int threads)
{
    static const double arrays[] = {[LOAD] = 1, [COPY] = 2, [TRIAD] = 3};
    double best = INFINITY;
    for (int pass = 0; pass < PASSES; pass++)
        best = fmin(best, traffic_seconds(traffic, array, bytes / sizeof(float), threads));
    return arrays[traffic] * (double)bytes / best;
}

void ceiling_measure(struct ceiling *ceiling, int threads, size_t cache_bytes)
{
    *ceiling = (struct ceiling){.threads = threads};
    for (enum isa isa = ISA_GENERIC; isa < ISAS; isa++) {
        double flops[FMA_CALLS];
        for (int i = 0; isa_supported(isa) && i < FMA_CALLS; i++)
            flops[i] = ceiling_fma(isa, threads);
        ceiling->fma_flops[isa] = isa_supported(isa) ? stats_of(flops, FMA_CALLS).median : 0;
    }

    /* STREAM's rule: each array at least four times the last-level cache. */
    size_t bytes = (4 * cache_bytes + (64 << 20)) & ~(size_t)63;
    if (bytes > memory_limit() / 3)
        bytes = memory_limit() / 3 & ~(size_t)63;
    struct buffer buffer[3] = {{0}};
    float *array[3];
    bool got = true;
    for (int i = 0; i < 3; i++) {
        got = buffer_alloc(&buffer[i], bytes, i, 0, threads) && got;
        array[i] = buffer[i].data;
    }
    if (got) {
        ceiling->bandwidth_bytes = bytes;
        ceiling->load_bps = bandwidth(LOAD, array, bytes, threads);
        ceiling->copy_bps = bandwidth(COPY, array, bytes, threads);
        ceiling->triad_bps = bandwidth(TRIAD, array, bytes, threads);
    }
    for (int i = 0; i < 3; i++)
        buffer_free(&buffer[i]);
}
