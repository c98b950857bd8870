/* See budget.h. SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

#include "check.h"
#include "clock.h"

#include <math.h>
#include <stdlib.h>

enum {
    PILOT_FLOP = 100 * 1000 * 1000, /* some 0.1 s for the slowest, the loops of the definition */
    PILOT_BYTES = 256 * 1000 * 1000,
    PILOT_PRICE = 10 /* a second pilot is made if it takes less than this fraction of what a point may */
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
    double *cost;      /* of the points to come, seconds */
    int points;        /* how many they are */
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

/* Past groups are read for their pace, the next one and those behind it are entered, the truth with equal parts. */
static void enter_group(struct ledger *ledger, int rep, int thread_index, int group, bool to_come)
{
    const struct study *study = ledger->board->study;
    const unsigned char *done = board_done(ledger->board, rep, thread_index, group);
    const int impls = study->impl_count, first = ledger->points;
    double cost_s[impls];
    bool open[impls];
    for (int i = 0; i < impls; i++) {
        cost_s[i] = expect(ledger, rep, thread_index, group, i);
        open[i] = to_come && !done[i] && !refused(study, i, group);
        ledger->points += open[i];
    }
    const double truth_s = expect(ledger, rep, thread_index, group, impls) / (ledger->points - first);
    for (int i = 0, at = first; i < impls; i++) {
        if (open[i])
            ledger->cost[at++] = cost_s[i] + truth_s;
        if (first == 0 && to_come)
            ledger->group->expected_s[i] = cost_s[i] + truth_s;
    }
}

static void enter_all(struct ledger *ledger, int thread_index)
{
    const struct study *study = ledger->board->study;
    const struct group *next = ledger->group;
    bool to_come = false;
    ledger->points = 0;
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

/* ---- who is paid ---- */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sets the price that no point may exceed, and this group's part of the time. */
static void divide(const struct ledger *ledger, struct group *group, double time_s)
{
    const int impls = group->study->impl_count;
    double pays_s = FIRST_SHARE * time_s, paid_s = 0, here_s = 0;
    int paid = 0;
    qsort(ledger->cost, (size_t)ledger->points, sizeof *ledger->cost, ascending);
    for (; paid < ledger->points && ledger->cost[paid] <= pays_s; paid++) {
        pays_s -= ledger->cost[paid];
        paid_s += ledger->cost[paid];
    }
    group->dearest_s = fmax(paid ? ledger->cost[paid - 1] : 0, pays_s);
    for (int i = 0; i < impls; i++)
        if (!group->done[i] && !refused(group->study, i, group->page->group) &&
            group->expected_s[i] <= group->dearest_s)
            here_s += group->expected_s[i];
    group->time_s = time_s * fmin(here_s / paid_s, 1);
}

void budget_share(const struct board *board, int thread_index, struct group *group, double deadline)
{
    const struct study *study = board->study;
    const size_t groups =
        (size_t)study->repetitions * (size_t)study->thread_count * (size_t)study_groups(study);
    struct ledger ledger = {.board = board, .group = group};
    group->time_s = group->dearest_s = HUGE_VAL;
    for (int i = 0; i < study->impl_count; i++)
        group->expected_s[i] = 0;
    if (deadline <= 0)
        return;
    ledger.pace = calloc(CONV_TENSORS * (size_t)(study->impl_count + 1), sizeof *ledger.pace);
    ledger.cost = calloc(groups * (size_t)study->impl_count, sizeof *ledger.cost);
    if (!ledger.pace || !ledger.cost)
        abort(); /* a few bytes a point: the supervisor reports the crash */
    enter_all(&ledger, thread_index);
    if (clock_now() < deadline && pilot_unknown(&ledger))
        enter_all(&ledger, thread_index);
    divide(&ledger, group, fmax(deadline - clock_now(), 0));
    free(ledger.pace);
    free(ledger.cost);
}

/* What was measured in the first process is measured in all, while there is time: an interval needs several. */
static bool is_begun(const struct group *group, int impl)
{
    return group->rep > 0 && group->proven[impl] && group->dearest_s > 0;
}

static bool pays(const struct group *group, int impl, double cost_s, struct point *point)
{
    if (cost_s <= group->dearest_s || is_begun(group, impl))
        return true;
    if (group->dearest_s > 0)
        point_set_status(point, STATUS_SKIP, "would take %.3g s, the budget pays up to %.3g s a point",
                         cost_s, group->dearest_s);
    else
        point_set_status(point, STATUS_SKIP, "the budget is spent");
    group->page->unpaid++;
    group->page->unpaid_s += cost_s;
    return false;
}

bool budget_may_pay(const struct group *group, int impl, struct point *point)
{
    const struct conv_problem *whole = &group->layer->problem, corner = pilot_problem(whole);
    const double part = conv_flop_nominal(&corner) / conv_flop_nominal(whole),
                 expected_s = group->expected_s[impl];
    if (expected_s > group->dearest_s && group->cost[impl].fixed_s == 0 &&
        PILOT_PRICE * part * expected_s < group->dearest_s) {
        const struct cost cost = pilot(group, impl);
        if (cost.fixed_s > 0 && point_s(cost, CHECK_CALLS) < expected_s) {
            group->cost[impl] = cost;
            group->expected_s[impl] = point_s(cost, CHECK_CALLS);
        }
    }
    return pays(group, impl, group->expected_s[impl], point);
}

bool budget_pays(const struct group *group, const struct runner *runner, struct point *point)
{
    return pays(group, runner->index,
                fmax(group->expected_s[runner->index], (double)runner_footprint(runner, 0) / MEMORY_BPS),
                point);
}
