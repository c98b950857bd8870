/* Roofs, measured. SPDX-License-Identifier: Apache-2.0 */
#include "ceiling.h"

#include "clock.h"
#include "kernels/peak.h"
#include "kernels/traffic.h"
#include "memory.h"

#include <math.h>
#include <omp.h>

enum {
    FMA_CALLS = 25, /* of a millisecond or two: on a busy machine some are left alone */
    CACHE_CALLS = 25,
    DRAM_CALLS = 5,
    TRAFFIC_BYTES =
        32 << 20,     /* that each thread moves in a call: 0.1 ms and more, so that fork and join vanish */
    STAGGER = 39 * 16 /* floats between two arrays, or their lines would share sets of the L1 cache */
};
const char *const memory_level_names[LEVELS] = {"L1", "L2", "L3", "DRAM"};

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

/* Arrays in each thread's slice of the data, which it has touched first. */
struct probe {
    enum isa isa;
    enum traffic traffic;
    int threads;
    float *data;
    size_t slice; /* floats of a thread, whole lines */
    size_t bytes; /* of a thread's arrays together */
    volatile unsigned long *step;
};

static const int traffic_arrays[TRAFFICS] = {1, 2, 3};

/* bytes/s of the team, the best of some calls. */
static double probe_run(const struct probe *probe)
{
    static traffic_fn *const load[ISAS] = ISA_TABLE(traffic_load),
                             *const copy[ISAS] = ISA_TABLE(traffic_copy),
                             *const triad[ISAS] = ISA_TABLE(traffic_triad);
    traffic_fn *const kernel[TRAFFICS] = {load[probe->isa], copy[probe->isa], triad[probe->isa]};
    const size_t arrays = (size_t)traffic_arrays[probe->traffic];
    const size_t n = probe->bytes / sizeof(float) / arrays & ~(size_t)(TRAFFIC_BLOCK - 1);
    const long passes = 1 + (long)(TRAFFIC_BYTES / probe->bytes);
    double best = HUGE_VAL;
    for (int call = 0; call < (passes > 1 ? CACHE_CALLS : DRAM_CALLS); call++) {
        const double start = clock_now();
#pragma omp parallel num_threads(probe->threads)
        {
            float *array[TRAFFIC_ARRAYS], *at = probe->data + (size_t)omp_get_thread_num() * probe->slice;
            for (size_t i = 0; i < TRAFFIC_ARRAYS; i++)
                array[i] = at + i % arrays * (n + STAGGER);
            kernel[probe->traffic](array, n, passes);
        }
        best = fmin(best, clock_now() - start);
        ++*probe->step;
    }
    return (double)(arrays * n * sizeof(float) * (size_t)passes * (size_t)probe->threads) / best;
}

/* A level's working set lies well inside it and well outside the next smaller one: half of L1, the geometric mean of
 * two caches' shares. A level that is hardly larger than the one before has none. Main memory: three arrays, each
 * four times the last-level caches (STREAM's rule), or half of what memory allows. */
static void choose_working_sets(struct ceiling *ceiling, const struct topology *topology)
{
    double smaller = 0;
    for (enum memory_level level = LEVEL_L1; level < LEVEL_DRAM; level++) {
        const double share = (double)topology_cache_share(topology, (int)level + 1, ceiling->threads);
        if (share < 2 * smaller)
            continue;
        ceiling->working_set[level] = (size_t)(smaller > 0 ? sqrt(smaller * share) : share / 2);
        smaller = share;
    }
    const double dram = fmin(3 * 4 * (double)topology->cache_bytes, 0.5 * (double)memory_limit());
    ceiling->working_set[LEVEL_DRAM] = (size_t)(dram / ceiling->threads);
}

static void measure_traffic(struct ceiling *ceiling, enum isa isa, struct probe *probe)
{
    probe->isa = isa;
    for (enum memory_level level = LEVEL_L1; level < LEVELS; level++)
        for (enum traffic traffic = TRAFFIC_LOAD; traffic < TRAFFICS; traffic++) {
            probe->traffic = traffic;
            probe->bytes = ceiling->working_set[level];
            if (probe->bytes >= TRAFFIC_ARRAYS * TRAFFIC_BLOCK * sizeof(float))
                ceiling->bps[isa][level][traffic] = probe_run(probe);
        }
}

/* The best probe, once the second best is close to it, or there were ten times as many as usual. */
static void measure_fma(struct ceiling *ceiling, enum isa isa, volatile unsigned long *step)
{
    double best = 0, second = 0;
    for (int i = 0; i < FMA_CALLS || (i < 10 * FMA_CALLS && best > (1 + FMA_AGREE) * second); i++) {
        const double flops = ceiling_fma(isa, ceiling->threads);
        second = fmax(second, fmin(best, flops));
        best = fmax(best, flops);
        ++*step;
    }
    ceiling->fma_flops[isa] = best;
    ceiling->fma_apart[isa] = best / second - 1;
}

void ceiling_measure(struct ceiling *ceiling, int threads, const struct topology *topology,
                     volatile unsigned long *step)
{
    *ceiling = (struct ceiling){.threads = threads};
    choose_working_sets(ceiling, topology);
    struct buffer buffer;
    struct probe probe = {.threads = threads,
                          .step = step,
                          .slice = (ceiling->working_set[LEVEL_DRAM] / sizeof(float) | 15) + 1 +
                                   TRAFFIC_ARRAYS * (STAGGER + TRAFFIC_BLOCK)};
    const bool got = buffer_alloc(&buffer, probe.slice * sizeof(float) * (size_t)threads, 0, 0, threads);
    probe.data = buffer.data;
    ++*step;
    for (enum isa isa = ISA_GENERIC; isa < ISAS; isa++) {
        if (!isa_supported(isa))
            continue;
        measure_fma(ceiling, isa, step);
        if (got)
            measure_traffic(ceiling, isa, &probe);
    }
    buffer_free(&buffer);
    handoff_measure_matrix(&ceiling->handoff, threads, step); /* the team is awake by now */
}
