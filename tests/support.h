/* What the tests over the registry share: running one implementation in hostile memory, and judging what came out.
 *
 * Environment: TRIPASS_SEED (seed, default 1), TRIPASS_TEST_PROBLEMS (random problems in test_reference, default 200;
 * the other tests scale with it), TRIPASS_TEST_FILTER (cmocka pattern over the test names, e.g. "direct upd*").
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TEST_SUPPORT_H
#define TRIPASS_TEST_SUPPORT_H

#include "conv.h"
#include "problems.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Which end of a buffer touches an inaccessible page. */
enum side { AT_END, AT_START };

/* One implementation on one problem: everything that names a failure. */
struct trial {
    const struct conv_impl *impl;
    struct conv_problem problem;
    enum conv_tensor output;
    int threads;
    enum isa isa;
    bool exact; /* the data are integers, and the implementation must be right bit for bit */
    enum side side;
};

/* Memory between two inaccessible pages; what is left of its pages is filled with canaries (0xFF: a NaN if read). */
struct guarded {
    char *map, *data;
    size_t map_bytes, bytes;
};
struct guarded guarded_make(size_t bytes, enum side side);
bool guarded_intact(const struct guarded *memory);
void guarded_free(struct guarded *memory);

/* A trial's plan with its native tensors and scratch. */
struct rig {
    struct trial trial;
    struct conv_plan plan;
    struct guarded tensor[CONV_TENSORS], scratch;
};

/* What rig_open says to a plan of more than 16 MB (an explicit matrix may need that). */
extern const char RIG_TOO_LARGE[];

/* Plans and allocates. Returns NULL, or the reason why the implementation cannot. From here to rig_close a crash or a hang prints the trial. */
const char *rig_open(struct rig *rig, const struct trial *trial);
/* Imports the two inputs from plain tensors and makes them read-only. */
void rig_import(struct rig *rig, float *const plain[CONV_TENSORS]);
/* Fills the output with NaN and the scratch with 0xA5. */
void rig_poison(struct rig *rig);
/* Runs, then checks all canaries. */
void rig_run(struct rig *rig);
/* Exports the output. */
void rig_export(const struct rig *rig, float *plain);
void rig_close(struct rig *rig);

/* All of it: plain inputs to plain output (conv_elements floats). Returns false if the implementation cannot. */
bool trial_run(const struct trial *trial, float *const plain[CONV_TENSORS], float *result);

/* Fails the test, naming the trial, the seed, and what `format` says. */
void trial_fail(const struct trial *trial, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* Fails unless result equals truth: bit for bit if trial->exact, otherwise |error| <= trial_bound * magnitude, with the
 * largest magnitude in place of those that are zero (outputs that no tap reaches), and of all where the implementation has
 * its own error_bound (the data here may be larger than those that conv_full_sum is for). A NaN fails. */
void assert_agrees(const struct trial *trial, const float *result, const struct conv_element *truth);

/* The trial's bound on |error| / sum |products|. */
double trial_bound(const struct trial *trial);

/* The definition on every element of an output; taken. */
struct conv_element *truth_of(const struct conv_problem *problem, enum conv_tensor output,
                              float *const plain[CONV_TENSORS]);

/* What one cmocka test of run_over_registry finds in *state. */
struct subject {
    const struct conv_impl *impl;
    enum conv_tensor output;
    enum isa isa;
    char name[64];
};

/* Runs `test` for every implementation x pass x instruction set (the best set only unless `every_isa`) as a cmocka
 * test of its own, named "direct fwd avx2 <what>". Returns the number of failures. The best set comes first: a library
 * may fix its own for the whole process at first use. */
int run_over_registry(const char *what, CMUnitTestFunction test, bool every_isa);

/* Ends a subject's test: says how many trials ran of how many; none at all is a skip, not a success. */
void subject_finish(const struct subject *subject, int ran, int of);

/* Checks something on one example; false if the implementation cannot do it. */
typedef bool check_fn(const struct trial *trial, float *const plain[CONV_TENSORS]);

/* Runs `check` on test_count(count) random examples, in turn integers (with `slack`, see problems.h) and reals, with teams
 * of 1, 2 and 3 threads, and ends the subject's test. The examples are the same for every subject. */
void subject_check(const struct subject *subject, check_fn *check, int count, double slack);

#endif
