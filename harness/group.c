/* Plan, check, time. SPDX-License-Identifier: Apache-2.0 */
#include "group.h"

#include "check.h"
#include "clock.h"
#include "size.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CALLS_AT_LEAST = 4, /* three of a check and one timed */
    TOO_SLOW = 8        /* a point may take this many times its even share of a budget */
};
static const double CHEAP_S = 0.5;      /* never too much: a busy machine makes a study late, not empty */
static const double LEAST_TIME_S = 0.1; /* nine samples, warmed, of a call of 5 ms */

struct candidate {
    struct runner runner;
    struct point point;
    struct series series;
    bool passed;
    bool due; /* its row is to be made: at first, and again while it is noisy */
};

static size_t sets_bytes(const struct group *group)
{
    return group->study->cache == CACHE_COLD ? COLD_CACHES * group->topology->cache_bytes : 0;
}

static struct data data_of(const struct group *group)
{
    return (struct data){.problem = group->layer->problem,
                         .output = group->output,
                         .threads = group->threads,
                         .isa = group->study->isa,
                         .layer = group->study->layer,
                         .seed = group->study->seed,
                         .page = group->page};
}

/* Bytes that a group needs whatever its implementations: plain tensors and the truth. */
static size_t common_footprint(const struct group *group)
{
    const struct data data = data_of(group);
    return size_add(truth_footprint(&group->layer->problem, group->output), data_footprint(&data));
}

static size_t group_memory_limit(const struct group *group)
{
    return group->study->memory_limit ? group->study->memory_limit : memory_limit();
}

/* False, with the reason in the row, if the point would need too much memory or time. */
static bool affordable(const struct group *group, struct candidate *candidate, double share_s)
{
    const size_t limit = group_memory_limit(group);
    size_t need = common_footprint(group);
    if (__builtin_add_overflow(need, runner_footprint(&candidate->runner, sets_bytes(group)), &need))
        need = SIZE_MAX;
    if (need > limit) {
        char needs[16], has[16];
        point_set_status(&candidate->point, STATUS_SKIP, "needs %s, limit %s",
                         memory_text((double)need, needs, sizeof needs),
                         memory_text((double)limit, has, sizeof has));
        return false;
    }
    const double time_s = CALLS_AT_LEAST * group->s_per_flop[candidate->runner.index] * candidate->point.flop;
    const double affordable_s = fmax(TOO_SLOW * share_s, CHEAP_S);
    if (time_s > affordable_s) {
        point_set_status(&candidate->point, STATUS_SKIP, "would take %.1f s, the budget leaves %.1f s",
                         time_s, affordable_s);
        return false;
    }
    return true;
}

/* Plans what can be planned; the others' rows are finished. Returns how many candidates there are. */
static int plan_all(const struct group *group, const struct data *data, struct candidate *candidates)
{
    const struct study *study = group->study;
    const double share_s = group->time_s / study->impl_count;
    int count = 0;
    for (int i = 0; i < study->impl_count; i++) {
        if (group->done[i] == '1')
            continue;
        struct candidate *candidate = &candidates[count];
        candidate->point = point_of(study, group->layer, group->output, study->impls[i]);
        candidate->point.threads = group->threads;
        candidate->point.rep = group->rep;
        const char *reason = runner_plan(&candidate->runner, data, study->impls[i], i);
        const struct conv_plan *plan = &candidate->runner.plan;
        if (reason) {
            point_set_status(&candidate->point, STATUS_SKIP, "%s", reason);
        } else {
            memcpy(candidate->point.detail, plan->detail, sizeof plan->detail);
            candidate->point.plan_s = candidate->runner.plan_s;
            candidate->point.scratch_bytes = (double)plan->scratch_bytes;
            candidate->point.native_bytes =
                (double)plan->bytes[CONV_SRC] + (double)plan->bytes[CONV_WEI] + (double)plan->bytes[CONV_DST];
            if (affordable(group, candidate, share_s)) {
                count++;
                continue;
            }
            conv_plan_destroy(study->impls[i], &candidate->runner.plan);
        }
        group->emit(group->context, i, &candidate->point, NULL);
    }
    return count;
}

/* How many candidates from the first on fit into memory together, at least one. */
static int batch_size(const struct group *group, const struct candidate *candidates, int count)
{
    const size_t limit = group_memory_limit(group);
    size_t sum = common_footprint(group);
    int size = 0;
    while (
        size < count &&
        !__builtin_add_overflow(sum, runner_footprint(&candidates[size].runner, sets_bytes(group)), &sum) &&
        sum <= limit)
        size++;
    return size ? size : 1;
}

static void point_set_times(struct point *point, const struct series *series, double peak_flops)
{
    double *seconds = malloc((size_t)series->n * sizeof *seconds);
    for (int i = 0; seconds && i < series->n; i++)
        seconds[i] = series->timing[i].seconds;
    point->time = stats_of(seconds, seconds ? series->n : 0);
    free(seconds);
    point->stop_reason = series->stop_reason;
    point->inner_reps = series->inner_reps;
    point->sgd_s = series->sgd_s;
    point->gflops = point->flop / point->time.median * 1e-9;
    point->peak_gflops = peak_flops * 1e-9;
    point->pct_peak = 100 * point->gflops / point->peak_gflops;
}

static void point_set_noise(struct point *point, const struct series *series)
{
    const struct noise *noise = &series->noise;
    noise_flags(noise, series->n, point->threads, point->flags, sizeof point->flags);
    point->steal_s = noise->sum[NOISE_STEAL];
    point->throttled_s = noise->sum[NOISE_THROTTLED];
    point->switches = noise->sum[NOISE_SWITCHES];
    point->minor_faults = noise->sum[NOISE_MINOR_FAULTS];
    point->major_faults = noise->sum[NOISE_MAJOR_FAULTS];
    point->clock_pct = noise->clock_pct;
    point->drift_pct = noise->drift_pct;
    point->drift_rho = noise->drift_rho;
}

static bool is_timed(const struct candidate *candidate)
{
    return candidate->passed && candidate->due;
}

/* Those that are due, interleaved with one another. */
static void time_batch(const struct group *group, struct candidate *candidates, int count, int attempt,
                       double max_time_s)
{
    const struct study *study = group->study;
    struct measurement measurement = {
        .isa = study->isa,
        .threads = group->threads,
        .samples = study->samples,
        .max_time_s = max_time_s,
        .lr = study->lr,
        .cold = study->cache == CACHE_COLD,
        .seed = study->seed + (uint64_t)(group->page->group * study->repetitions + group->rep) +
                ((uint64_t)attempt << 32),
        .pu = group->topology->pu,
        .best_flops = group->best_flops,
    };
    struct series series[count];
    int passed = 0;
    for (int i = 0; i < count; i++)
        if (is_timed(&candidates[i]))
            series[passed++] =
                (struct series){.runner = &candidates[i].runner, .timing = candidates[i].series.timing};
    measure_group(&measurement, series, passed);
    for (int i = count - 1; i >= 0; i--) {
        if (!is_timed(&candidates[i]))
            continue;
        candidates[i].series = series[--passed];
        candidates[i].point.attempt = attempt;
        point_set_times(&candidates[i].point, &series[passed], measurement.peak_flops);
        point_set_noise(&candidates[i].point, &series[passed]);
    }
}

static void check_batch(struct candidate *candidates, int count, const struct data *data,
                        const struct truth truth[2])
{
    for (int kind = 0; kind < 2; kind++) {
        data_fill(data, truth[kind].fill);
        for (int i = 0; i < count; i++)
            if (candidates[i].passed)
                candidates[i].passed =
                    check_runner(&candidates[i].runner, &truth[kind], &candidates[i].point);
    }
}

static void emit(struct group *group, struct candidate *candidate, bool pinned)
{
    const struct runner *runner = &candidate->runner;
    struct point *point = &candidate->point;
    point->pinned = pinned;
    point->sets = runner->sets;
    point->import_s = isfinite(runner->import_s) ? runner->import_s : (double)NAN;
    point->export_s = isfinite(runner->export_s) ? runner->export_s : (double)NAN;
    group->s_per_flop[runner->index] = (point->time.n ? point->time.min : runner->last_s) / point->flop;
    group->emit(group->context, runner->index, point, candidate->series.n ? &candidate->series : NULL);
}

static void run_batch(struct group *group, struct candidate *candidates, int count, const struct data *data,
                      const struct truth truth[2], double end)
{
    const struct study *study = group->study;
    const bool pinned = topology_pinned(group->topology, group->threads);
    for (int i = 0; i < count; i++) {
        candidates[i].due = true;
        candidates[i].passed = runner_alloc(&candidates[i].runner, sets_bytes(group), i * 5);
        candidates[i].series.timing = malloc((size_t)study->samples * sizeof(struct timing));
        if (!candidates[i].passed)
            point_set_status(&candidates[i].point, STATUS_SKIP, "the system has no memory left");
    }
    check_batch(candidates, count, data, truth);
    for (int attempt = 0, due = count; due > 0; attempt++) {
        if (!study->check_only) {
            const double left = (end - clock_now()) / count;
            time_batch(group, candidates, count, attempt, fmin(study->max_time_s, fmax(left, LEAST_TIME_S)));
        }
        const bool still_pinned = topology_pinned(group->topology, group->threads);
        due = 0;
        for (int i = 0; i < count; i++) {
            if (!candidates[i].due)
                continue;
            emit(group, &candidates[i], pinned && still_pinned);
            candidates[i].due = attempt < study->retry_noisy && *candidates[i].point.flags;
            due += candidates[i].due;
        }
    }
    for (int i = 0; i < count && study->phases; i++)
        if (candidates[i].series.n) {
            const struct profile profile = profile_run(&candidates[i].runner, candidates[i].series.sgd_s);
            group->emit_profile(group->context, &candidates[i].point, &candidates[i].runner, &profile);
        }
    for (int i = 0; i < count; i++) {
        free(candidates[i].series.timing);
        runner_free(&candidates[i].runner);
    }
}

void group_run(struct group *group)
{
    const double end = clock_now() + group->time_s;
    struct candidate *candidates = calloc((size_t)group->study->impl_count, sizeof *candidates);
    struct data data = data_of(group);
    struct truth truth[2] = {{0}};
    const int count = plan_all(group, &data, candidates);
    group->page->impl = -1;
    if (count && (!data_alloc(&data) || !truth_find(&truth[0], &data, FILL_EXACT) ||
                  !truth_find(&truth[1], &data, FILL_REAL)))
        abort(); /* memory that affordable() saw has gone since: the supervisor reports it */
    for (int first = 0, size; first < count; first += size) {
        size = batch_size(group, candidates + first, count - first);
        const double now = clock_now(), batch_end = now + (end - now) * size / (count - first);
        run_batch(group, candidates + first, size, &data, truth, batch_end);
    }
    for (int kind = 0; kind < 2; kind++)
        truth_free(&truth[kind]);
    data_free(&data);
    free(candidates);
}
