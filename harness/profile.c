/* Phases. SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

#include "clock.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

enum { CALLS = 5 };
static const double LONG_S = 0.2; /* one call is enough */

/* What a thread has charged so far; a cache line each. */
struct lane {
    _Alignas(64) double last;
    double seconds[CONV_PHASES];
};

struct team_clock {
    struct phase_clock clock; /* first: a mark hands it back */
    int threads;
    struct lane *lane;
};

static void charge(struct lane *lane, enum conv_phase phase, double now)
{
    lane->seconds[phase] += now - lane->last;
    lane->last = now;
}

static void mark(struct phase_clock *clock, enum conv_phase phase)
{
    struct team_clock *team = (struct team_clock *)(void *)clock;
    const double now = clock_now();
    if (omp_in_parallel()) {
        assert(omp_get_thread_num() < team->threads);
        charge(&team->lane[omp_get_thread_num()], phase, now);
        return;
    }
    for (int t = 0; t < team->threads; t++)
        charge(&team->lane[t], phase, now);
}

static void set_clocks(struct phase_clock *clock, int threads)
{
#pragma omp parallel num_threads(threads)
    phase_clock = clock;
}

struct profile profile_run(struct runner *runner, double sgd_s)
{
    const int threads = runner->plan.threads, calls = runner->last_s > LONG_S ? 1 : CALLS;
    struct team_clock team = {{mark}, threads, aligned_alloc(64, (size_t)threads * sizeof(struct lane))};
    struct profile profile = {.run_s = 0};
    double *part = profile.seconds + PROFILE_PHASES;
    if (!team.lane)
        abort(); /* a line a thread: the supervisor reports the crash */
    for (int t = 0; t < threads; t++)
        team.lane[t] = (struct lane){0};
    runner_run(runner, 1); /* warms the caches */
    set_clocks(&team.clock, threads);
    for (int call = 0; call < calls; call++) {
        const double start = clock_now();
        for (int t = 0; t < threads; t++)
            team.lane[t].last = start;
        runner_run(runner, 1);
        const double end = clock_now();
        profile.run_s += (end - start) / calls;
        for (int t = 0; t < threads; t++)
            profile.seconds[PROFILE_REST] += (end - team.lane[t].last) / threads / calls;
    }
    set_clocks(NULL, threads);
    for (int t = 0; t < threads; t++)
        for (int phase = 0; phase < CONV_PHASES; phase++)
            part[phase] += team.lane[t].seconds[phase] / threads / calls;
    free(team.lane);
    profile.seconds[PROFILE_IMPORT] = runner->impl->import ? runner->import_s : (double)NAN;
    profile.seconds[PROFILE_EXPORT] = runner->impl->export ? runner->export_s : (double)NAN;
    profile.seconds[PROFILE_SGD] = sgd_s;
    return profile;
}

/* ---- work ---- */

struct work {
    double flop, bytes;
};

/* Of a row, from the plan: nominal flop; the tensors that it has to read and write, in their own layout, once each (what it
 * moves beyond that, through scratch memory, is the algorithm's affair). */
static struct work work_of(const struct runner *runner, int row)
{
    const struct conv_plan *plan = &runner->plan;
    double native[CONV_TENSORS], inputs = 0, plain_inputs = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        native[t] = (double)plan->bytes[t];
        inputs += t == plan->output ? 0 : native[t];
        plain_inputs += t == plan->output ? 0 : (double)conv_elements(&plan->problem, t) * sizeof(float);
    }
    const double output = native[plan->output], weights = native[CONV_WEI];
    const double nothing = (double)NAN, flop = conv_flop_nominal(&plan->problem);
    const double plain_output = (double)conv_elements(&plan->problem, plan->output) * sizeof(float);
    const struct work work[PROFILE_ROWS] = {
        [PROFILE_IMPORT] = {nothing, plain_inputs + inputs},
        [PROFILE_PHASES + PHASE_INPUT] = {nothing, plan->output == CONV_WEI ? inputs : inputs - weights},
        [PROFILE_PHASES + PHASE_WEIGHTS] = {nothing, weights},
        [PROFILE_PHASES + PHASE_MULTIPLY] = {flop, inputs + output},
        [PROFILE_PHASES + PHASE_OUTPUT] = {nothing, output},
        [PROFILE_PHASES + PHASE_REDUCE] = {nothing, output},
        [PROFILE_PHASES + PHASE_LAYER] = {nothing, 2 * native[CONV_DST]}, /* in place, or read and written */
        [PROFILE_REST] = {nothing, nothing},
        [PROFILE_SGD] = {2 * weights / sizeof(float), 3 * weights}, /* w -= lr * g */
        [PROFILE_EXPORT] = {nothing, output + plain_output},
    };
    return work[row];
}

/* ---- rows ---- */

static const char *const names[PROFILE_ROWS] = {"import", "input",    "weights", "multiply", "output",
                                                "reduce", "bias-act", "rest",    "sgd",      "export"};

void profile_print_header(FILE *file)
{
    fputs("impl,pass,problem,threads,rep,phase,t_s,pct_run,flop,bytes,gflops,gbps\n", file);
}

void profile_print_table_header(FILE *file)
{
    fprintf(file, "%-16s %-4s %-9s %12s %7s %9s %8s  problem\n", "impl", "pass", "phase", "ms", "% run",
            "GFLOP/s", "GB/s");
}

/* One number, empty if there is none. */
static void print_number(FILE *file, bool text, int width, double value)
{
    if (text && isnan(value))
        fprintf(file, " %*s", width, "");
    else if (text)
        fprintf(file, " %*.*f", width, width > 8 ? 3 : 1, value);
    else if (isnan(value))
        putc(',', file);
    else
        fprintf(file, ",%.9g", value);
}

static void print_row(FILE *file, bool text, const struct point *point, const char *name, double pct,
                      const struct work *work, double seconds)
{
    if (text)
        fprintf(file, "%-16s %-4s %-9s", point->impl, point->pass, name);
    else
        fprintf(file, "%s,%s,%s,%d,%d,%s", point->impl, point->pass, point->problem, point->threads,
                point->rep, name);
    print_number(file, text, 12, text ? 1e3 * seconds : seconds);
    print_number(file, text, 7, pct);
    if (!text) {
        print_number(file, text, 0, work->flop);
        print_number(file, text, 0, work->bytes);
    }
    print_number(file, text, 9, 1e-9 * work->flop / seconds);
    print_number(file, text, 8, 1e-9 * work->bytes / seconds);
    fprintf(file, "%s%s\n", text ? "  " : "", text ? point->problem : "");
}

void profile_print(FILE *file, bool text, const struct profile *profile, const struct runner *runner,
                   const struct point *point)
{
    bool unmarked = true;
    for (int phase = 0; phase < CONV_PHASES; phase++)
        unmarked &= !(profile->seconds[PROFILE_PHASES + phase] > 0);
    for (int row = 0; row < PROFILE_ROWS; row++) {
        const double seconds = profile->seconds[row];
        if (!(seconds > 0))
            continue;
        const bool whole = row == PROFILE_REST && unmarked,
                   of_run = row >= PROFILE_PHASES && row <= PROFILE_REST;
        const struct work work = work_of(runner, whole ? PROFILE_PHASES + PHASE_MULTIPLY : row);
        print_row(file, text, point, whole ? "run" : names[row],
                  of_run ? 100 * seconds / profile->run_s : (double)NAN, &work, seconds);
    }
}
