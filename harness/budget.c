/* See budget.h. SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

#include "check.h"
#include "clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PILOT_FLOP = 100 * 1000 * 1000, /* some 0.1 s for the slowest, the loops of the definition */
    PILOT_BYTES = 256 * 1000 * 1000,
    /* Student's interval of 3, 5, 8 processes reaches 2.5, 1.2, 0.8 standard deviations to either side. */
    MANY_REPETITIONS = 5,
    FEW_REPETITIONS = 3
};
/* For what points take at the least, of the time; a half left oneDNN out of the default study's 512 channels. */
static const double FIRST_SHARE = 0.7;
/* A point's fixed part where all is proven: plan and memory as before, a quarter of the checks; and its truth, a sample. */
static const double LATER_FIXED = 0.5, LATER_TRUTH = 0.1;
/* The standard: a machine and an implementation of middling speed, in proportion to which all are seen. However small,
 * a point takes 0.02 s timed, and its buffers; memory is new, poisoned and compared, read or written six times. */
static const double POINT_S = 0.04, CORE_FLOPS = 50e9, MEMORY_BPS = 350e6;

static struct cost standard(const struct conv_problem *problem, int threads)
{
    double bytes = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        bytes += (double)conv_elements(problem, t) * sizeof(float);
    return (struct cost){.fixed_s = POINT_S + bytes / MEMORY_BPS,
                         .call_s = conv_flop_nominal(problem) / CORE_FLOPS / threads};
}

/* What a point takes at the least: it is made, checked and timed. */
static double point_s(struct cost cost, int checks)
{
    return cost.fixed_s + checks * cost.call_s + measure_least_s(cost.call_s);
}

/* ---- what is to come ---- */

struct ledger {
    const struct board *board;
    struct cost *pace; /* [pass][implementation, then the truth]: latest cost / standard; 0: unknown */
    double *cost;      /* [repetition][thread count][group][implementation]: seconds of the points to come */
    const struct group *group; /* the one that is next */
};

static bool refused(const struct study *study, int impl, int group)
{
    const struct conv_impl *i = study->impls[impl];
    return i->refuse && i->refuse(&study->layers[group / study->output_count].problem,
                                  study->outputs[group % study->output_count]);
}

static bool proven(const struct board *board, int thread_index, int group, int impl)
{
    return impl == board->study->impl_count || !board_done(board, 0, thread_index, group)[impl] ||
           board_proven(board, thread_index, group)[impl];
}

/* The pace of that pass, else of another, else the standard's. */
static struct cost pace_guess(const struct ledger *ledger, int pass, int impl)
{
    const int impls = ledger->board->study->impl_count + 1;
    struct cost pace = ledger->pace[pass * impls + impl];
    for (int p = 0; p < ledger->board->study->output_count && !(pace.fixed_s > 0); p++)
        pace = ledger->pace[p * impls + impl];
    return pace.fixed_s > 0 ? pace : (struct cost){1, 1};
}

/* What an implementation (or the truth) takes in a group of a repetition, seconds; its pace is kept for those behind. */
static double expect(struct ledger *ledger, int rep, int thread_index, int group, int impl)
{
    const struct board *board = ledger->board;
    const struct study *study = board->study;
    const int pass = group % study->output_count;
    const bool later = rep && proven(board, thread_index, group, impl), truth = impl == study->impl_count;
    const struct cost known = board_cost(board, rep, thread_index, group)[impl],
                      first = board_cost(board, 0, thread_index, group)[impl],
                      normal = standard(&study->layers[group / study->output_count].problem,
                                        study->threads[thread_index]);
    const double part = !later ? 1 : truth ? LATER_TRUTH : LATER_FIXED;
    struct cost cost = known.fixed_s > 0 ? known : (struct cost){part * first.fixed_s, first.call_s};
    if (cost.fixed_s > 0) {
        ledger->pace[pass * (study->impl_count + 1) + impl] =
            (struct cost){cost.fixed_s / part / normal.fixed_s, cost.call_s / normal.call_s};
    } else {
        const struct cost pace = pace_guess(ledger, pass, impl);
        cost = (struct cost){part * pace.fixed_s * normal.fixed_s, pace.call_s * normal.call_s};
    }
    return truth ? cost.fixed_s : point_s(cost, later ? CHECK_SAMPLE_CALLS : CHECK_CALLS);
}

static double *cost_of(const struct ledger *ledger, int rep, int thread_index, int group)
{
    const struct study *study = ledger->board->study;
    const size_t process = (size_t)rep * (size_t)study->thread_count + (size_t)thread_index;
    return ledger->cost + (process * (size_t)study_groups(study) + (size_t)group) * (size_t)study->impl_count;
}

/* Past groups are read for their pace, the next one and those behind it are entered, the truth with equal parts. */
static void enter_group(struct ledger *ledger, int rep, int thread_index, int group, bool to_come)
{
    const struct study *study = ledger->board->study;
    const unsigned char *done = board_done(ledger->board, rep, thread_index, group);
    const bool next = rep == ledger->group->rep && group == ledger->group->page->group;
    const int impls = study->impl_count;
    double cost_s[impls], *cost = cost_of(ledger, rep, thread_index, group);
    bool open[impls];
    int points = 0;
    for (int i = 0; i < impls; i++) {
        cost_s[i] = expect(ledger, rep, thread_index, group, i);
        open[i] = to_come && !done[i] && !refused(study, i, group);
        points += open[i];
    }
    const double truth_s = expect(ledger, rep, thread_index, group, impls) / (points ? points : 1);
    for (int i = 0; i < impls; i++) {
        cost[i] = open[i] ? cost_s[i] + truth_s : 0;
        if (next && study->threads[thread_index] == ledger->group->threads)
            ledger->group->expected_s[i] = cost_s[i] + truth_s;
    }
}

static void enter_all(struct ledger *ledger, int thread_index)
{
    const struct study *study = ledger->board->study;
    const struct group *next = ledger->group;
    bool to_come = false;
    for (int r = 0; r < study->repetitions; r++)
        for (int t = 0; t < study->thread_count; t++)
            for (int g = 0; g < study_groups(study); g++) {
                to_come = to_come || (r == next->rep && t == thread_index && g == next->page->group);
                enter_group(ledger, r, t, g, to_come);
            }
}

/* ---- pilots ---- */

/* A corner of the layer for one image: the same channels, kernel and stride, so about the same speed. */
static struct conv_problem pilot_problem(const struct conv_problem *problem)
{
    struct conv_problem p = *problem;
    p.mb = 1;
    while (conv_flop_nominal(&p) > PILOT_FLOP && p.oh * p.ow > 1) {
        p.oh = (p.oh + 1) / 2;
        p.ow = (p.ow + 1) / 2;
    }
    const int ih = (p.oh - 1) * p.sh + (p.kh - 1) * (p.dh + 1) + 1 - p.ph;
    const int iw = (p.ow - 1) * p.sw + (p.kw - 1) * (p.dw + 1) + 1 - p.pw;
    if (p.oh < problem->oh)
        p.ih = ih < 1 ? 1 : ih < p.ih ? ih : p.ih;
    if (p.ow < problem->ow)
        p.iw = iw < 1 ? 1 : iw < p.iw ? iw : p.iw;
    return p;
}

/* What a run on a corner tells of the layer; 0 if it cannot tell. */
static struct cost pilot(const struct group *group, int impl)
{
    const struct conv_problem *whole = &group->layer->problem;
    struct runner runner;
    struct data data = group_data(group);
    struct cost cost = {0};
    data.problem = pilot_problem(whole);
    if (!conv_problem_unsound(&data.problem) && data_alloc(&data) &&
        !runner_plan(&runner, &data, group->study->impls[impl], impl)) {
        data_fill(&data, FILL_REAL);
        if (runner_footprint(&runner, 0) < PILOT_BYTES && runner_alloc(&runner, 0, 0)) {
            runner_import(&runner);
            runner_run(&runner, 1);
            cost.fixed_s = standard(whole, group->threads).fixed_s + runner.plan_s;
            cost.call_s =
                runner_run(&runner, 1) * conv_flop_nominal(whole) / conv_flop_nominal(&data.problem);
        }
        runner_free(&runner);
    }
    data_free(&data);
    group->page->impl = -1;
    return cost;
}

/* Of each implementation of the group whose pace no pass knows. True if there was one. */
static bool pilot_unknown(const struct ledger *ledger)
{
    const struct group *group = ledger->group;
    const struct study *study = group->study;
    bool any = false;
    for (int i = 0; i < study->impl_count; i++) {
        bool known = group->done[i] || refused(study, i, group->page->group);
        for (int pass = 0; pass < study->output_count; pass++)
            known = known || ledger->pace[pass * (study->impl_count + 1) + i].fixed_s > 0;
        if (!known)
            group->cost[i] = pilot(group, i);
        any = any || !known;
    }
    return any;
}

/* ---- who is left out ---- */

/* Of the points to come that are not left out: the seconds of each implementation, layer, thread count and repetition, in
 * the order of board_left_out. Returns the sum. */
static double sum_up(const struct ledger *ledger, const bool *out, double *seconds)
{
    const struct study *study = ledger->board->study;
    const int impls = study->impl_count, layers = study->layer_count;
    double all = 0;
    memset(seconds, 0, board_left_out_count(study) * sizeof *seconds);
    for (int at = 0; at < study->repetitions * study->thread_count * study_groups(study); at++) {
        const int g = at % study_groups(study), process = at / study_groups(study);
        const int t = process % study->thread_count, rep = process / study->thread_count;
        const int others[] = {impls + g / study->output_count, impls + layers + t,
                              impls + layers + study->thread_count + rep};
        if (out[others[0]] || out[others[1]] || out[others[2]])
            continue;
        for (int i = 0; i < impls; i++) {
            const double cost = out[i] ? 0 : cost_of(ledger, rep, t, g)[i];
            seconds[i] += cost;
            all += cost;
            for (int o = 0; o < 3; o++)
                seconds[others[o]] += cost;
        }
    }
    return all;
}

static bool is_library(const struct conv_impl *impl)
{
    return !strcmp(impl->family, "onednn");
}

/* The implementation that an A/A control, "direct:aa", measures a second time; else itself. */
static int original_of(const struct study *study, int impl)
{
    const size_t length = strcspn(study->impls[impl]->name, ":");
    for (int i = 0; i < study->impl_count; i++)
        if (strlen(study->impls[i]->name) == length &&
            !strncmp(study->impls[i]->name, study->impls[impl]->name, length))
            return i;
    return impl;
}

/* Leaves out the dearest implementation with its control, but never the last of the library's and never the last of the
 * others: a ratio needs both. False: there is none. */
static bool leave_out_implementation(const struct study *study, bool *out, const double *seconds)
{
    int left[2] = {0, 0}, dearest = -1;
    double most = 0, with_control[study->impl_count];
    for (int i = 0; i < study->impl_count; i++)
        with_control[i] = 0;
    for (int i = 0; i < study->impl_count; i++) {
        const int original = original_of(study, i);
        with_control[original] += seconds[i];
        left[is_library(study->impls[i])] += original == i && !out[i] && seconds[i] > 0;
    }
    for (int i = 0; i < study->impl_count; i++)
        if (!out[i] && left[is_library(study->impls[i])] > 1 && with_control[i] > most) {
            most = with_control[i];
            dearest = i;
        }
    for (int i = 0; i < study->impl_count && dearest >= 0; i++)
        out[i] |= original_of(study, i) == dearest;
    return dearest >= 0;
}

/* Leaves out the dearest of `count` others, unless it is the last. */
static bool leave_out_dearest(bool *out, const double *seconds, int count)
{
    int left = 0, dearest = -1;
    for (int i = 0; i < count; i++) {
        if (out[i] || !(seconds[i] > 0))
            continue;
        left++;
        if (dearest < 0 || seconds[i] > seconds[dearest])
            dearest = i;
    }
    if (left > 1)
        out[dearest] = true;
    return left > 1;
}

/* Leaves out the last repetition, if more than `least` remain. */
static bool leave_out_repetition(bool *out, int repetitions, int least)
{
    int last = repetitions - 1;
    while (last >= least && out[last])
        last--;
    if (last < least)
        return false;
    out[last] = true;
    return true;
}

/* Leaves out more and more, in the order that budget.h states, until the rest costs no more than pays_s or nothing more can
 * be left out. Returns what the rest costs, seconds. */
static double leave_out(const struct ledger *ledger, bool *out, double pays_s)
{
    const struct study *study = ledger->board->study;
    const int impls = study->impl_count, layers = study->layer_count;
    bool *out_rep = out + impls + layers + study->thread_count;
    double seconds[board_left_out_count(study)], all;
    while ((all = sum_up(ledger, out, seconds)) > pays_s &&
           (leave_out_repetition(out_rep, study->repetitions, MANY_REPETITIONS) ||
            leave_out_implementation(study, out, seconds) ||
            leave_out_repetition(out_rep, study->repetitions, FEW_REPETITIONS) ||
            leave_out_dearest(out + impls, seconds + impls, layers) ||
            leave_out_dearest(out + impls + layers, seconds + impls + layers, study->thread_count)))
        ;
    return all;
}

/* The group's part of the time, and who of it is left out. */
static void divide(const struct ledger *ledger, int thread_index, struct group *group, double time_s)
{
    const struct study *study = group->study;
    const int impls = study->impl_count;
    bool *out = board_left_out(ledger->board);
    const double all = leave_out(ledger, out, FIRST_SHARE * time_s);
    double here_s = 0;
    group->left_s = time_s;
    group->left_out = out[impls + group->page->group / study->output_count]                ? "layer"
                      : out[impls + study->layer_count + thread_index]                     ? "thread count"
                      : out[impls + study->layer_count + study->thread_count + group->rep] ? "repetition"
                                                                                           : NULL;
    for (int i = 0; i < impls; i++) {
        group->impl_left_out[i] = out[i];
        if (!group->done[i] && !out[i] && !refused(study, i, group->page->group))
            here_s += group->expected_s[i];
    }
    group->time_s = time_s * (all > 0 ? fmin(here_s / all, 1) : 1);
}

void budget_share(const struct board *board, int thread_index, struct group *group, double deadline)
{
    const struct study *study = board->study;
    const size_t points = (size_t)study->repetitions * (size_t)study->thread_count *
                          (size_t)study_groups(study) * (size_t)study->impl_count;
    struct ledger ledger = {.board = board, .group = group};
    group->time_s = group->left_s = HUGE_VAL;
    group->left_out = NULL;
    for (int i = 0; i < study->impl_count; i++) {
        group->expected_s[i] = 0;
        group->impl_left_out[i] = false;
    }
    if (deadline <= 0)
        return;
    ledger.pace = calloc(CONV_TENSORS * (size_t)(study->impl_count + 1), sizeof *ledger.pace);
    ledger.cost = calloc(points, sizeof *ledger.cost);
    if (!ledger.pace || !ledger.cost)
        abort(); /* a few bytes a point: the supervisor reports the crash */
    enter_all(&ledger, thread_index);
    if (clock_now() < deadline && pilot_unknown(&ledger))
        enter_all(&ledger, thread_index);
    divide(&ledger, thread_index, group, fmax(deadline - clock_now(), 0));
    free(ledger.pace);
    free(ledger.cost);
}

static bool pays(const struct group *group, int impl, double cost_s, struct point *point)
{
    const char *what = group->left_out;
    if (group->impl_left_out[impl])
        what = "implementation";
    if (!(group->left_s > 0))
        point_set_status(point, STATUS_SKIP, "the budget is spent");
    else if (what)
        point_set_status(point, STATUS_SKIP, "the budget leaves out this %s: here it would take %.3g s", what,
                         cost_s);
    else if (cost_s > group->left_s)
        point_set_status(point, STATUS_SKIP, "would take %.3g s, and %.3g s are left of the budget", cost_s,
                         group->left_s);
    else
        return true;
    group->page->unpaid++;
    group->page->unpaid_s += cost_s;
    return false;
}

bool budget_may_pay(const struct group *group, int impl, struct point *point)
{
    return pays(group, impl, group->expected_s[impl], point);
}

bool budget_pays(const struct group *group, const struct runner *runner, struct point *point)
{
    return pays(group, runner->index,
                fmax(group->expected_s[runner->index], (double)runner_footprint(runner, 0) / MEMORY_BPS),
                point);
}
