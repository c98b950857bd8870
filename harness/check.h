/* Truth. The oracle is the definition in double: on every output while that is cheap, else on a seeded sample with
 * all corners and many edges. oneDNN, checked against the oracle like everyone, is the second witness, on every
 * output; where an implementation differs from it most, the oracle is asked again.
 *
 * A check runs an implementation up to three times:
 *     exact data, output full of NaN        equal to the oracle bit for bit (implementations that claim it)
 *     real data,  output full of old values errors relative to sum |a*b|
 *     real data,  again                     the same bits
 * (scratch holds poison in the first, leftovers in the others) and looks each time whether every output was written, no
 * canary and no input has changed.
 *
 * Of a plan that has passed all that in one process, a later one need not prove as much: it runs once, on real data, into
 * an output full of NaN, and is held against the oracle on a smaller sample of its own (PROOF_SAMPLE).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CHECK_H
#define TRIPASS_CHECK_H

#include "runner.h"

enum proof { PROOF_FULL, PROOF_SAMPLE };
enum { CHECK_CALLS = 3, CHECK_SAMPLE_CALLS = 1 }; /* how often they run an implementation at the most */

/* What is right, for one kind of data. */
struct truth {
    enum fill fill;
    enum proof proof;
    size_t count, *index;               /* sampled outputs; index NULL: all of them */
    struct conv_element *element;       /* their values and magnitudes */
    struct conv_element *bias_gradient; /* upd with a bias: of each channel; else NULL */
    struct buffer witness;   /* oneDNN's result, plain layout; 0 bytes: oneDNN does not take the problem */
    struct buffer magnitude; /* sum |a*b| of every output, by oneDNN on |a|, |b| (FILL_REAL only) */
    const char *witness_name;
    char note[128]; /* "" or how oneDNN and the oracle disagree */
};

/* Finds the truth for data->problem; fills data with `fill`. false: no memory. PROOF_SAMPLE: without a witness; `draw`
 * chooses the sample. */
bool truth_find(struct truth *truth, const struct data *data, enum fill fill);
bool truth_sample(struct truth *truth, const struct data *data, int draw);
void truth_free(struct truth *truth);

/* Bytes that truth_find takes for FILL_EXACT and FILL_REAL together. */
size_t truth_footprint(const struct conv_problem *problem, enum conv_tensor output);

/* Checks a runner on data that are filled with truth->fill, and fills in point's errors, status and reason.
 * Returns false if it failed. */
bool check_runner(struct runner *runner, const struct truth *truth, struct point *point);

#endif
