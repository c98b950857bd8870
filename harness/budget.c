/* See budget.h. SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

#include "clock.h"

#include <float.h>
#include <math.h>

enum {
    POINT_CALLS = 6,                /* of a point at the least: 3 in its check, 3 timed and untimed */
    PILOT_FLOP = 100 * 1000 * 1000, /* some 0.1 s for the slowest, the loops of the definition */
    PILOT_BYTES = 256 * 1000 * 1000,
    DEAREST = 2,     /* times its part of the time that a group may take */
    CHEAP = 100,     /* a group that takes less than this fraction of all the time is never too dear */
    PILOT_PRICE = 10 /* a pilot is made if it takes less than this fraction of what is left */
};
/* The standard: a machine and an implementation of middling speed, in proportion to which all are seen. */
static const double POINT_S = 0.02;    /* what a point takes however small: buffers, threads */
static const double CORE_FLOPS = 50e9; /* of a core */
static const double MEMORY_BPS =
    2e9; /* memory that is new, poisoned, compared, and read or written in calls */

double budget_standard_s(const struct conv_problem *problem, int threads)
{
    double bytes = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        bytes += (double)conv_elements(problem, t) * sizeof(float);
    return POINT_S + POINT_CALLS * conv_flop_nominal(problem) / CORE_FLOPS / threads +
           POINT_CALLS * bytes / MEMORY_BPS;
}

/* ---- shares ---- */

static bool refused(const struct study *study, int impl, int group)
{
    const struct conv_impl *i = study->impls[impl];
    return i->refuse && i->refuse(&study->layers[group / study->output_count].problem,
                                  study->outputs[group % study->output_count]);
}

/* What a group takes in a worker: its points and, like another one, the truth. */
static double weight(const struct board *board, int rep, int thread_index, int group)
{
    const struct study *study = board->study;
    const unsigned char *done = board_done(board, rep, thread_index, group);
    int points = 0;
    for (int i = 0; i < study->impl_count; i++)
        points += !done[i] && !refused(study, i, group);
    const struct conv_problem *problem = &study->layers[group / study->output_count].problem;
    return points ? (points + 1) * budget_standard_s(problem, study->threads[thread_index]) : 0;
}

struct share budget_share(const struct board *board, int rep, int thread_index, int group, double deadline)
{
    const struct study *study = board->study;
    double here = 0, left = 0, left_of_rep = 0;
    if (deadline <= 0)
        return (struct share){HUGE_VAL, HUGE_VAL};
    for (int r = rep; r < study->repetitions; r++) {
        for (int t = r == rep ? thread_index : 0; t < study->thread_count; t++)
            for (int g = r == rep && t == thread_index ? group : 0; g < study_groups(study); g++) {
                const double of_group = weight(board, r, t, g);
                here = here > 0 ? here : of_group; /* the first is this one */
                left += of_group;
            }
        left_of_rep = r == rep ? left : left_of_rep;
    }
    const double time_s = left > 0 ? fmax(deadline - clock_now(), 0) : 0;
    return (struct share){time_s * here / left,
                          fmax(time_s / CHEAP, time_s * here / fmax(left_of_rep, left / DEAREST))};
}

/* ---- costs ---- */

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

/* See board_pace; 0 if the pilot cannot tell. */
static double pilot(const struct group *group, int impl)
{
    struct runner runner;
    struct data data = group_data(group);
    double pace = 0;
    data.problem = pilot_problem(&group->layer->problem);
    if (!conv_problem_unsound(&data.problem) && data_alloc(&data) &&
        !runner_plan(&runner, &data, group->study->impls[impl], impl)) {
        data_fill(&data, FILL_REAL);
        if (runner_footprint(&runner, 0) < PILOT_BYTES && runner_alloc(&runner, 0, 0)) {
            runner_import(&runner);
            runner_run(&runner, 1);
            pace = (POINT_S + POINT_CALLS * runner_run(&runner, 1)) /
                   budget_standard_s(&data.problem, group->threads);
        }
        runner_free(&runner);
    }
    data_free(&data);
    group->page->impl = -1;
    return pace;
}

void budget_guess(const struct board *board, int rep, int thread_index, enum conv_tensor output)
{
    static const double point = 4.0 / POINT_CALLS, truth = 0.1; /* of what the first repetition takes */
    const double *first = board_pace(board, 0, thread_index, output);
    double *pace = board_pace(board, rep, thread_index, output);
    const int impls = board->study->impl_count;
    for (int i = 0; rep && i <= impls; i++)
        if (pace[i] == 0)
            pace[i] = first[i] * (i < impls ? point : truth);
}

void budget_order(const struct group *group, int order[])
{
    const int count = group->study->impl_count;
    for (int i = 0; i < count; i++) { /* insertion sort: a dozen */
        int at = i;
        for (; at > 0 && group->pace[order[at - 1]] > group->pace[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

static bool too_dear(const struct group *group, double cost_s, double left_s, struct point *point)
{
    if (cost_s <= left_s)
        return false;
    if (group->at_most_s > 0)
        point_set_status(point, STATUS_SKIP, "would take %.2g s, the budget leaves %.2g s", cost_s,
                         fmax(left_s, 0));
    else
        point_set_status(point, STATUS_SKIP, "the budget is spent");
    group->page->unpaid++;
    group->page->unpaid_s += cost_s;
    return true;
}

/* Pilots are for what is not known, and for what another layer's pace calls too dear; not if they are dear themselves. */
static bool worth_a_pilot(const struct group *group, double pace, double left_s)
{
    const struct conv_problem small = pilot_problem(&group->layer->problem);
    return pace == 0 || (pace * budget_standard_s(&group->layer->problem, group->threads) > left_s &&
                         PILOT_PRICE * pace * budget_standard_s(&small, group->threads) < left_s);
}

bool budget_may_pay(const struct group *group, int impl, struct point *point, double left_s)
{
    const double pace = group->pace[impl];
    if (left_s > 0 && worth_a_pilot(group, pace, left_s))
        return true;
    return !too_dear(group, fmax(pace, DBL_MIN) * budget_standard_s(&point->shape, group->threads), left_s,
                     point);
}

bool budget_pays(const struct group *group, const struct runner *runner, struct point *point, double *left_s)
{
    double *pace = &group->pace[runner->index];
    if (isinf(*left_s))
        return true;
    if (worth_a_pilot(group, *pace, *left_s))
        *pace = pilot(group, runner->index);
    /* A corner's scratch may fit a cache where the whole layer's is written to memory in each call. */
    const double bytes =
        (double)runner_footprint(runner, 0) + POINT_CALLS * (double)runner->plan.scratch_bytes;
    const double cost_s = fmax(*pace * budget_standard_s(&point->shape, group->threads), bytes / MEMORY_BPS);
    if (too_dear(group, cost_s, *left_s, point))
        return false;
    *left_s -= cost_s;
    return true;
}
