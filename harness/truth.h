/* What is right, and how far a result is from it.
 *
 * The oracle is the definition in double: on every output while that is cheap, else on a seeded sample with all corners
 * and many edges. oneDNN, checked against the oracle like everyone, is the second witness, on every output; where an
 * implementation differs from it most, the oracle is asked again. Taps need the oracle alone. Where oneDNN cannot say, sums over all outputs do, as
 * many as are cheap (sums.h): no single wrong output escapes them on integers, and on reals none that is wrong by more than
 * 6 sqrt(terms) times what it may be wrong by itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TRUTH_H
#define TRIPASS_TRUTH_H

#include "runner.h"
#include "sums.h"

enum {
    TRUTHS = 3
}; /* kinds of data that an implementation is checked on: FILL_EXACT, FILL_TAPS, FILL_REAL */

/* PROOF_SAMPLE: a smaller sample of the oracle, and sums. */
enum proof { PROOF_FULL, PROOF_SAMPLE };

/* What is right, for one kind of data. */
struct truth {
    enum fill fill;
    enum proof proof;
    size_t count, *index;               /* sampled outputs; index NULL: all of them */
    struct conv_element *element;       /* their values and magnitudes */
    struct conv_element *bias_gradient; /* upd with a bias: of each channel; else NULL */
    struct buffer witness;   /* oneDNN's result, plain layout; 0 bytes: none (FILL_TAPS, or oneDNN refuses) */
    struct buffer magnitude; /* sum |a*b| of every output, by oneDNN on |a|, |b| (FILL_REAL only) */
    struct sums sums;        /* without a witness */
    const char *witness_name;
    char note[128]; /* "" or how oneDNN and the oracle disagree */
};

/* Finds the truth for data->problem; fills data with `fill`. false: no memory. PROOF_SAMPLE: FILL_REAL without a witness;
 * `draw` chooses the sample. */
bool truth_find(struct truth *truth, const struct data *data, enum fill fill);
bool truth_sample(struct truth *truth, const struct data *data, int draw);
void truth_free(struct truth *truth);

/* Bytes that truth_find takes for all kinds together. */
size_t truth_footprint(const struct conv_problem *problem, enum conv_tensor output);

/* Whether an implementation must be right bit for bit on FILL_EXACT: integers stay integers in the layer, too. */
bool truth_is_exact(const struct data *data, const struct conv_impl *impl);

/* What errors of an implementation are fractions of: an output's own sum |a*b|, but at least `least`; `none` if that is 0.
 * FILL_TAPS: the largest product, 1. A layer adds |b| and the range of its activation. */
struct scale {
    double least, none;
};
struct scale truth_scale(const struct truth *truth, const struct data *data, const struct conv_impl *impl);

/* How large they may be. */
double truth_bound(const struct truth *truth, const struct data *data, const struct conv_impl *impl);

/* How far a result is from the oracle's sample, from the witness (there must be one), and a gradient of the bias. */
struct deviation {
    double err; /* the largest error */
    size_t wrong,
        first; /* outputs that are not equal bit for bit; the first of them, or the witness's worst */
};
struct deviation truth_compare(const struct truth *truth, const float *result, struct scale scale);
struct deviation truth_compare_witness(const struct truth *truth, const struct data *data,
                                       const float *result, struct scale scale);
struct deviation truth_compare_bias(const struct truth *truth, const struct data *data, const float *result,
                                    struct scale scale);

/* The error of one output, by the oracle; HUGE_VAL if it is no number. */
double truth_error_at(const struct data *data, size_t index, float result, struct scale scale);

#endif
