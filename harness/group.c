/* Plan, check, time. SPDX-License-Identifier: Apache-2.0 */
#include "group.h"

#include "budget.h"
#include "check.h"
#include "clock.h"
#include "leftover.h"
#include "size.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A budget always pays for so much: a short call's only sample could be one in which it was preempted. */
static const double LEAST_TIME_S = 0.02;

struct candidate {
    struct runner runner;
    struct point point;
    struct series series;
    double cost_s; /* wall time of its plan, its memory and its check */
    bool passed;
    bool due; /* its row is to be made: at first, and again while it is noisy */
};

/* FNV-1a of what really runs (fnv 32 bit offset and prime); never 0. */
static uint32_t detail_hash(const struct runner *runner)
{
    uint32_t hash = 2166136261U;
    for (const char *c = runner->plan.detail; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619U;
    return hash ? hash : 1;
}

static size_t sets_bytes(const struct group *group)
{
    return group->study->cache == CACHE_COLD ? COLD_CACHES * group->topology->cache_bytes : 0;
}

struct data group_data(const struct group *group)
{
    return (struct data){.problem = group->layer->problem,
                         .output = group->output,
                         .threads = group->threads,
                         .isa = group->study->isa,
                         .layer = group->study->layer,
                         .seed = group->study->seed,
                         .page = group->page,
                         .lone = group->lone};
}

/* Bytes that a group needs whatever its implementations: plain tensors and the truth. */
static size_t common_footprint(const struct group *group)
{
    const struct data data = group_data(group);
    return size_add(truth_footprint(&group->layer->problem, group->output), data_footprint(&data));
}

static size_t group_memory_limit(const struct group *group)
{
    return group->study->memory_limit ? group->study->memory_limit : memory_limit();
}

/* False, with the reason in the row, if the point would need too much memory. */
static bool fits(const struct group *group, struct candidate *candidate)
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
    return true;
}

/* Who leaves something behind has failed, because others would be timed with it. */
static bool leaves_nothing(const struct group *group, struct candidate *candidate)
{
    char text[128], reason[sizeof candidate->point.reason];
    if (leftover_none(group->before, candidate->runner.impl->name, text, sizeof text))
        return true;
    memcpy(reason, candidate->point.reason, sizeof reason);
    point_set_status(&candidate->point, STATUS_FAIL, "%.100s%sleft its process changed: %s", reason,
                     *reason ? "; " : "", text);
    return false;
}

/* Plans one. False: its row says why it goes no further. */
static bool plan_one(const struct group *group, const struct data *data, struct candidate *candidate,
                     int impl)
{
    struct point *point = &candidate->point;
    const struct conv_impl *i = group->study->impls[impl];
    group->page->impl = impl; /* it may die already here */
    group->page->step++;
    const char *reason = i->refuse ? i->refuse(&data->problem, data->output) : NULL;
    if (!reason && !budget_may_pay(group, impl, point))
        return false;
    if (!reason)
        reason = runner_plan(&candidate->runner, data, i, impl);
    candidate->runner.impl = i; /* for who refuses, too */
    if (!leaves_nothing(group, candidate)) {
        if (!reason)
            conv_plan_destroy(i, &candidate->runner.plan);
        return false;
    }
    if (reason) {
        point_set_status(point, STATUS_SKIP, "%s", *reason ? reason : "(no reason given)");
        return false;
    }
    const struct conv_plan *plan = &candidate->runner.plan;
    if (memcmp(&plan->problem, &data->problem, sizeof plan->problem) || plan->output != data->output ||
        plan->threads != data->threads || plan->isa != data->isa) {
        point_set_status(point, STATUS_FAIL,
                         "plan changed what it was asked for: problem, pass, threads or ISA");
        return false;
    }
    memcpy(point->detail, plan->detail, sizeof plan->detail);
    point->plan_s = candidate->cost_s = candidate->runner.plan_s;
    point->scratch_bytes = (double)plan->scratch_bytes;
    point->native_bytes =
        (double)plan->bytes[CONV_SRC] + (double)plan->bytes[CONV_WEI] + (double)plan->bytes[CONV_DST];
    if (fits(group, candidate) && budget_pays(group, &candidate->runner, point))
        return true;
    conv_plan_destroy(i, &candidate->runner.plan);
    return false;
}

/* Plans what can be planned; the others' rows are finished. Returns how many candidates there are. */
static int plan_all(const struct group *group, const struct data *data, struct candidate *candidates)
{
    const struct study *study = group->study;
    int count = 0;
    for (int i = 0; i < study->impl_count; i++) {
        if (group->done[i])
            continue;
        struct candidate *candidate = &candidates[count];
        candidate->point = point_of(study, group->layer, group->output, study->impls[i]);
        candidate->point.threads = group->threads;
        candidate->point.rep = group->rep;
        if (plan_one(group, data, candidate, i))
            count++;
        else
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

/* Of the timings that handoff_keeps. */
static void point_set_times(struct point *point, const struct series *series, double peak_flops)
{
    double *seconds = malloc((size_t)series->n * sizeof *seconds);
    int n = 0;
    for (int i = 0; seconds && i < series->n; i++)
        if (handoff_keeps(&series->handoff, series->timing[i].handoff_ns))
            seconds[n++] = series->timing[i].seconds;
    point->time = stats_of(seconds, n);
    free(seconds);
    point->stop_reason = series->stop_reason;
    point->inner_reps = series->inner_reps;
    point->sgd_s = series->sgd_s;
    point->gflops = point->flop / point->time.median * 1e-9;
    point->peak_gflops = peak_flops * 1e-9;
    point->pct_peak = 100 * point->gflops / point->peak_gflops;
}

/* 10 %: what the best probe of a short study may miss of the ceiling (slow-clock's limit, noise.h). */
static void flag_above_ceiling(struct point *point, const struct conv_impl *impl, double best_flops)
{
    const double saving = (impl->saving > 0 ? impl->saving : 1) * point->flop / point->flop_valid;
    const size_t used = strlen(point->flags);
    if (point->gflops * 1e9 > 1.1 * saving * best_flops)
        snprintf(point->flags + used, sizeof point->flags - used, "%sabove-ceiling", used ? " " : "");
}

static void point_set_noise(struct point *point, const struct series *series)
{
    const struct noise *noise = &series->noise;
    noise_flags(noise, series->n, point->flags, sizeof point->flags);
    point->steal_s = noise->sum[NOISE_STEAL];
    point->throttled_s = noise->sum[NOISE_THROTTLED];
    point->wait_s = noise->sum[NOISE_WAIT];
    point->switches = noise->sum[NOISE_SWITCHES];
    point->minor_faults = noise->sum[NOISE_MINOR_FAULTS];
    point->major_faults = noise->sum[NOISE_MAJOR_FAULTS];
    point->clock_pct = noise->clock_pct;
    point->drift_pct = noise->drift_pct;
    point->drift_rho = noise->drift_rho;
    point->handoff_ns = series->handoff.ns;
    point->handoff_spread = series->handoff.spread;
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
        .ci_percent = study->ci_percent,
        .max_time_s = max_time_s,
        .lr = study->lr,
        .cold = study->cache == CACHE_COLD,
        .seed = study->seed + (uint64_t)(group->page->group * study->repetitions + group->rep) +
                ((uint64_t)attempt << 32),
        .before = group->before,
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
        flag_above_ceiling(&candidates[i].point, candidates[i].runner.impl, *group->best_flops);
    }
}

static void check_batch(const struct group *group, struct candidate *candidates, int count,
                        const struct data *data, const struct truth *truth)
{
    data_fill(data, truth->fill);
    for (int i = 0; i < count; i++) {
        if (!candidates[i].passed)
            continue;
        const double start = clock_now();
        const bool right = check_runner(&candidates[i].runner, truth, &candidates[i].point);
        candidates[i].passed = leaves_nothing(group, &candidates[i]) && right;
        candidates[i].cost_s += clock_now() - start;
    }
}

/* What is wrong afterwards has no time. Plain inputs are shared, so nobody knows who has spoilt one: they are made good
 * again, and who does so shows in the runs that follow. */
static void check_what_was_timed(const struct group *group, struct candidate *candidates, int count)
{
    check_mend(candidates[0].runner.data, FILL_REAL);
    for (int i = 0; i < count; i++) {
        struct candidate *candidate = &candidates[i];
        if (!is_timed(candidate))
            continue;
        const double start = clock_now();
        const bool right = check_timed(&candidate->runner, &candidate->point);
        candidate->passed = leaves_nothing(group, candidate) && right;
        candidate->cost_s += clock_now() - start;
        if (*candidate->series.left) {
            candidate->passed = false;
            point_set_status(&candidate->point, STATUS_FAIL, "left its process changed: %s",
                             candidate->series.left);
        }
        if (candidate->passed)
            continue;
        candidate->series.n = 0;
        candidate->point.time = stats_of(NULL, 0);
        candidate->point.gflops = candidate->point.pct_peak = (double)NAN;
    }
}

static void alloc_batch(const struct group *group, struct candidate *candidates, int count)
{
    for (int i = 0; i < count; i++) {
        const double start = clock_now();
        candidates[i].due = true;
        candidates[i].passed = runner_alloc(&candidates[i].runner, sets_bytes(group), i * 5);
        candidates[i].series.timing = malloc((size_t)group->study->samples * sizeof(struct timing));
        if (!candidates[i].passed)
            point_set_status(&candidates[i].point, STATUS_SKIP, "the system has no memory left");
        candidates[i].cost_s += clock_now() - start;
    }
}

/* What the next point of this implementation may take, and whether it need be checked as much. */
static void remember(const struct group *group, const struct candidate *candidate, enum proof proof)
{
    const struct runner *runner = &candidate->runner;
    const double call_s = candidate->point.time.n ? candidate->point.time.min : runner->last_s;
    const int checks = proof == PROOF_FULL ? CHECK_CALLS : CHECK_SAMPLE_CALLS;
    group->cost[runner->index] =
        (struct cost){LEAST_TIME_S + fmax(candidate->cost_s - checks * call_s, 0), call_s};
    if (candidate->passed && proof == PROOF_FULL)
        group->proven[runner->index] = detail_hash(runner);
}

static void emit(struct group *group, struct candidate *candidate, bool pinned)
{
    const struct runner *runner = &candidate->runner;
    struct point *point = &candidate->point;
    if (group->study->phases && candidate->series.n && !point->attempt) {
        const struct profile profile = profile_run(&candidate->runner, candidate->series.sgd_s);
        group->emit_profile(group->context, point, runner,
                            &profile); /* its row then says that all is there */
    }
    point->pinned = pinned;
    point->sets = runner->sets;
    point->import_s = isfinite(runner->import_s) ? runner->import_s : (double)NAN;
    point->export_s = isfinite(runner->export_s) ? runner->export_s : (double)NAN;
    group->emit(group->context, runner->index, point, candidate->series.n ? &candidate->series : NULL);
}

static void run_batch(struct group *group, struct candidate *candidates, int count, const struct data *data,
                      const struct truth truth[TRUTHS], double end)
{
    const struct study *study = group->study;
    const bool pinned = topology_pinned(group->topology, group->threads);
    alloc_batch(group, candidates, count);
    for (int kind = 0; kind < TRUTHS; kind++) /* the last, FILL_REAL, is what calls are timed on */
        if (truth[kind].count)
            check_batch(group, candidates, count, data, &truth[kind]);
    for (int attempt = 0, due = count; due > 0; attempt++) {
        if (!study->check_only)
            time_batch(group, candidates, count, attempt,
                       fmin(study->max_time_s, fmax((end - clock_now()) / count, LEAST_TIME_S)));
        if (!study->check_only)
            check_what_was_timed(group, candidates, count);
        const bool still_pinned = topology_pinned(group->topology, group->threads);
        due = 0;
        for (int i = 0; i < count; i++) {
            if (!candidates[i].due)
                continue;
            emit(group, &candidates[i], pinned && still_pinned);
            candidates[i].due = candidates[i].passed && attempt < study->retry_noisy &&
                                *candidates[i].point.flags && clock_now() < end;
            due += candidates[i].due;
        }
    }
    for (int i = 0; i < count; i++) {
        remember(group, &candidates[i], truth[FILL_REAL].proof);
        free(candidates[i].series.timing);
        runner_free(&candidates[i].runner);
    }
}

/* Everything that the candidates' checks need. False: no memory. */
static bool find_truth(const struct group *group, struct data *data, struct truth truth[TRUTHS],
                       const struct candidate *candidates, int count)
{
    const double start = clock_now();
    bool proven = true, found;
    for (int i = 0; i < count; i++)
        proven = proven && group->proven[candidates[i].runner.index] == detail_hash(&candidates[i].runner);
    if (!data_alloc(data))
        return false;
    found = !proven || truth_sample(&truth[FILL_REAL], data, group->rep);
    for (int kind = 0; kind < TRUTHS && !proven && found; kind++)
        found = truth_find(&truth[kind], data, (enum fill)kind);
    group->cost[group->study->impl_count].fixed_s = clock_now() - start;
    return found;
}

/* With fewer threads than asked for nothing is measured: every row says so. */
static bool team_is_whole(const struct group *group)
{
    int threads = 0;
#pragma omp parallel num_threads(group->threads)
#pragma omp single
    threads = omp_get_num_threads();
    for (int i = 0; i < group->study->impl_count && threads < group->threads; i++) {
        struct point point = point_of(group->study, group->layer, group->output, group->study->impls[i]);
        point.threads = group->threads;
        point.rep = group->rep;
        point_set_status(&point, STATUS_SKIP, "only %d of %d threads can be had: is OMP_THREAD_LIMIT set?",
                         threads, group->threads);
        if (!group->done[i])
            group->emit(group->context, i, &point, NULL);
    }
    return threads == group->threads;
}

void group_run(struct group *group)
{
    const double end = clock_now() + group->time_s;
    struct candidate *candidates = calloc((size_t)group->study->impl_count, sizeof *candidates);
    struct data data = group_data(group);
    struct truth truth[TRUTHS] = {{0}};
    const int count = team_is_whole(group) ? plan_all(group, &data, candidates) : 0;
    group->page->impl = -1;
    group->page->truth = 1;
    if (count && !find_truth(group, &data, truth, candidates, count))
        abort(); /* memory that fits() saw has gone since: the supervisor reports it */
    group->page->truth = 0;
    for (int first = 0, size; first < count; first += size) {
        size = batch_size(group, candidates + first, count - first);
        const double now = clock_now(), batch_end = now + (end - now) * size / (count - first);
        run_batch(group, candidates + first, size, &data, truth, batch_end);
    }
    for (int kind = 0; kind < TRUTHS; kind++)
        truth_free(&truth[kind]);
    data_free(&data);
    free(candidates);
}
