/* Which implementation computes which pass of which layer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CHOICE_H
#define TRIPASS_CHOICE_H

#include "conv.h"

#include <stdbool.h>

struct nn_best {
    struct conv_problem problem;
    enum conv_tensor output;
    const struct conv_impl *impl;
    double median_s;
};

struct nn_choice {
    const struct conv_impl *impl[CONV_TENSORS]; /* by output */
    struct nn_best *best;                       /* measured ones come first */
    int best_count;
};

/* Reads a choice from one of
 *
 *     NAME                                 one implementation for everything
 *     fwd:NAME,bwd:NAME,upd:NAME           one a pass; passes not named: `direct`
 *     best:FILE                            the fastest status-OK one of a points.csv (or of a study's directory)
 *                                          for each layer and pass; layers it does not have: `direct`
 *
 * On failure writes one line to `why` and returns false. */
bool nn_choice_parse(struct nn_choice *choice, const char *text, char *why, size_t why_size);
void nn_choice_free(struct nn_choice *choice);

/* Is it measured? Or, for a choice that is not best:FILE, said? */
bool nn_choice_knows(const struct nn_choice *choice, const struct conv_problem *problem,
                     enum conv_tensor output);

/* The implementation for one pass of one problem; never NULL. */
const struct conv_impl *nn_choice_for(const struct nn_choice *choice, const struct conv_problem *problem,
                                      enum conv_tensor output);

#endif
