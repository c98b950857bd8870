/* Implementations that misbehave, each in the one way that its name says, all around the reference. The program
 * tripass_bad is tripass with these behind the others in its registry, as bad-NAME. results.c: wrong results.
 * processes.c: what an implementation does to the process that runs it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BAD_H
#define TRIPASS_BAD_H

#include "conv.h"

/* clang-format off */
#define BAD_FIRST(X) \
    X(first_half) X(first_behind) X(first_import) X(first_later_rounds) X(first_spins)
#define BAD_RESULTS(X) \
    X(one_off) X(one_off_later) X(bound_infinite) X(bound_nan) X(tap) X(half) X(nothing_out) X(lazy) \
    X(behind_plain) X(export_behind) X(changes_plain) X(later) X(later_behind) X(later_input) X(keeps) \
    X(skips_equal) X(flushes) X(rounds) X(rounds_all) X(nices) X(unpins) X(limits) X(plan_output) \
    X(plan_threads) X(unterminated) X(no_reason) X(behind_far) X(before_far) X(far_off) \
    X(keeps_weights) X(wrong_and_rounds) X(plan_rounds) X(later_rounds) X(spins) X(alarms) \
    X(fewer_threads)
#define BAD_PROCESSES(X) \
    X(abort) X(exit_0) X(exit_2) X(exit_127) X(raw_exit) X(quick_exit) X(exec) X(thread_exit) \
    X(terminate) X(plan_exit) X(refuse_exit) X(import_exit) X(export_exit) X(destroy_crash) \
    X(destroy_exit) X(destroy_hang) X(atexit_2) X(atexit_crash) X(atexit_hang) X(children) \
    X(children_crash) X(fork_returns) X(close_hang) X(close_all) X(garbage) X(board_0) X(board_1) \
    X(board_ff) X(print)
/* clang-format on */

#define BAD_DECLARE(NAME) extern const struct conv_impl bad_##NAME##_impl;
BAD_FIRST(BAD_DECLARE)
BAD_RESULTS(BAD_DECLARE)
BAD_PROCESSES(BAD_DECLARE)

/* What impls/registry.c has before and behind the others. */
#define BAD_ENTRY(NAME)  &bad_##NAME##_impl,
#define FIRST_IMPLS_LIST BAD_FIRST(BAD_ENTRY)
#define MORE_IMPLS_LIST  BAD_RESULTS(BAD_ENTRY) BAD_PROCESSES(BAD_ENTRY)

/* A plan with plain layouts. */
const char *bad_plan(struct conv_plan *plan);

/* What the reference computes. */
void bad_right(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch);

/* An implementation whose `run` is the reference's and then BODY. In BODY: plan, out (the output), n (its elements).
 * What follows are further members of the implementation. */
#define BAD(NAME, BODY, ...)                                                                                 \
    static void run_##NAME(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)   \
    {                                                                                                        \
        float *out = tensor[plan->output];                                                                   \
        const size_t n = conv_elements(&plan->problem, plan->output);                                        \
        (void)out, (void)n;                                                                                  \
        bad_right(plan, tensor, scratch);                                                                    \
        BODY;                                                                                                \
    }                                                                                                        \
    const struct conv_impl bad_##NAME##_impl = {.name = "bad-" #NAME,                                        \
                                                .family = "bad",                                             \
                                                .summary = "",                                               \
                                                .source = "",                                                \
                                                .exact = true,                                               \
                                                .plan = bad_plan,                                            \
                                                .run = run_##NAME,                                           \
                                                __VA_ARGS__}

#endif
