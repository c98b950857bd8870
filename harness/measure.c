/* Interleaved rounds. SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include "ceiling.h"
#include "clock.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLOCK_PAIRS = 1000,
    SGD_CALLS = 9,
    CLOCK_SHARE = 100,
    CI_SAMPLES = 9 /* the fewest whose interval leaves out the extremes: ranks 2 to 8 */
};
static const double WARMING_MATTERS_S = 0.2;

/* Median time between two readings of the clock. */
static double clock_cost(void)
{
    double pair[CLOCK_PAIRS];
    for (int i = 0; i < CLOCK_PAIRS; i++) {
        const double start = clock_now();
        pair[i] = clock_now() - start;
    }
    return stats_of(pair, CLOCK_PAIRS).median;
}

/* Warms the caches with this implementation's data, where that is to be and matters. */
static void call_untimed(const struct measurement *measurement, struct series *series)
{
    if (!measurement->cold && series->runner->last_s <= WARMING_MATTERS_S)
        runner_run(series->runner, 1);
}

/* What its call left behind, of which the first is kept. */
static void look_behind(const struct measurement *measurement, struct series *series)
{
    char again[sizeof series->left], *text = *series->left ? again : series->left;
    leftover_none(measurement->before, series->runner->impl->name, text, sizeof series->left);
}

static void call_timed(const struct measurement *measurement, struct series *series, int round, int order)
{
    const struct noise_watch watch = {"", measurement->pu, measurement->threads};
    double before[NOISE_KINDS], after[NOISE_KINDS];
    const double start = clock_now();
    noise_read(&watch, before); /* before the warming call, which sets the caches right again */
    const double call_start = clock_now();
    call_untimed(measurement, series);
    const double seconds =
        runner_run_changing(series->runner, series->inner_reps, measurement->seed + (uint64_t)series->n);
    const double calls_s = clock_now() - call_start;
    noise_read(&watch, after);
    noise_add(&series->noise, before, after, calls_s);
    series->timing[series->n++] = (struct timing){round, order, seconds, measurement->handoff_ns};
    look_behind(measurement, series);
    series->spent_s += clock_now() - start;
}

/* Looks again only when n has grown by a tenth: each look sorts all samples. */
static bool narrow_enough(const struct measurement *measurement, struct series *series)
{
    if (!(measurement->ci_percent > 0) || series->n < CI_SAMPLES || series->n < series->next_look)
        return false;
    series->next_look = series->n + 1 + series->n / 10;
    double *seconds = malloc((size_t)series->n * sizeof *seconds);
    if (!seconds)
        return false;
    for (int i = 0; i < series->n; i++)
        seconds[i] = series->timing[i].seconds;
    const struct stats stats = stats_of(seconds, series->n);
    free(seconds);
    const double reach = fmax(stats.hi - stats.median, stats.median - stats.lo);
    return reach <= measurement->ci_percent / 100 * stats.median;
}

/* The reason why a series ends now, or NULL. */
static const char *stop(const struct measurement *measurement, struct series *series)
{
    return *series->left                               ? "left-behind"
           : series->n >= measurement->samples         ? "samples"
           : series->spent_s > measurement->max_time_s ? "max_time"
           : narrow_enough(measurement, series)        ? "ci"
                                                       : NULL;
}

/* w -= lr * gradient on as many elements as the native gradient has, in its layout. lr changes sign each time, so
 * that the weights stay bounded. */
static double sgd_step(const struct runner *runner, double lr)
{
    const float *restrict gradient = runner->tensor[CONV_WEI];
    const size_t elements = runner->plan.bytes[CONV_WEI] / sizeof(float);
    struct buffer weights;
    double seconds[SGD_CALLS + 1];
    if (!buffer_alloc(&weights, elements * sizeof(float), CONV_TENSORS, 0, runner->plan.threads))
        return (double)NAN;
    float *restrict w = weights.data;
    for (int call = 0; call <= SGD_CALLS; call++) {
        const float step = (float)(call % 2 ? -lr : lr);
        const double start = clock_now();
#pragma omp parallel for simd num_threads(runner->plan.threads) schedule(static)
        for (size_t i = 0; i < elements; i++)
            w[i] -= step * gradient[i];
        seconds[call] = clock_now() - start;
    }
    buffer_free(&weights);
    return stats_of(seconds + 1, SGD_CALLS).median; /* the first call warmed up */
}

static void prepare(const struct measurement *measurement, struct series *series, double shortest_s)
{
    series->n = series->next_look = 0;
    series->left[0] = '\0';
    series->noise = (struct noise){0};
    if (measurement->cold)
        runner_copy_sets(series->runner);
    const double start = clock_now();
    call_untimed(measurement, series);
    look_behind(measurement, series);
    const double call_s = series->runner->last_s;
    series->inner_reps = call_s < shortest_s ? (int)ceil(shortest_s / fmax(call_s, 1e-9)) : 1;
    series->spent_s = clock_now() - start;
}

/* peak: of the rounds, which a series attends from the first to its last. */
static void judge(const struct measurement *measurement, struct series *series, const double *peak)
{
    double *values = malloc((size_t)series->n * sizeof *values);
    if (!values)
        abort();
    for (int i = 0; i < series->n; i++)
        values[i] = series->timing[i].seconds;
    noise_set_drift(&series->noise, values, series->n);
    memcpy(values, peak, (size_t)series->n * sizeof *values);
    series->noise.clock_pct = 100 * stats_of(values, series->n).median / *measurement->best_flops;
    for (int i = 0; i < series->n; i++)
        values[i] = series->timing[i].handoff_ns;
    series->handoff = handoff_judge(values, series->n);
    series->noise.moved = series->handoff.moved;
    free(values);
}

double measure_least_s(double call_s)
{
    return call_s > WARMING_MATTERS_S ? call_s : 3 * call_s; /* one to prepare, one untimed, one timed */
}

void measure_group(struct measurement *measurement, struct series *series, int count)
{
    const double shortest_s = CLOCK_SHARE * clock_cost();
    uint64_t state = measurement->seed;
    int *active = malloc((size_t)count * sizeof *active), actives = count;
    double *peak = malloc((size_t)measurement->samples * sizeof *peak);
    int rounds = 0;
    if (!active || !peak)
        abort(); /* a few kilobytes: the supervisor reports the crash */
    for (int i = 0; i < count; i++) {
        active[i] = i;
        prepare(measurement, &series[i], shortest_s);
    }
    while (actives > 0) {
        const double start = clock_now();
        peak[rounds] = ceiling_fma(measurement->isa, measurement->threads);
        *measurement->best_flops = fmax(*measurement->best_flops, peak[rounds]);
        measurement->handoff_ns = handoff_measure(measurement->threads); /* the team is awake by now */
        random_shuffle(&state, active, actives);
        const double share_s = (clock_now() - start) / actives;
        for (int i = 0; i < actives; i++) {
            series[active[i]].spent_s += share_s;
            call_timed(measurement, &series[active[i]], rounds, i);
        }
        rounds++;
        int left = 0;
        for (int i = 0; i < actives; i++)
            if (!(series[active[i]].stop_reason = stop(measurement, &series[active[i]])))
                active[left++] = active[i];
        actives = left;
    }
    for (int i = 0; i < count; i++)
        judge(measurement, &series[i], peak);
    measurement->peak_flops = rounds ? stats_of(peak, rounds).median : (double)NAN;
    for (int i = 0; i < count; i++)
        series[i].sgd_s = series[i].runner->plan.output == CONV_WEI
                              ? sgd_step(series[i].runner, measurement->lr)
                              : (double)NAN;
    free(active);
    free(peak);
}
