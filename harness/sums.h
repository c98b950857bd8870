/* Sums over a result that are known without the result. A pass is linear in each of its inputs, so a sum of outputs is an
 * output of a smaller problem, whose inputs are the same sums of the inputs:
 *
 *     fwd   sum over images s, channels j  r_s q_j dst(s,j) = [sum over s  r_s src(s,.)] x [sum over j  q_j wei(j,.)]
 *     bwd   the same with src and dst exchanged
 *     upd   sum over j, i  q_j r_i wei(j,i) = the gradient of [sum over i  r_i src(.,i)] and [sum over j  q_j dst(.,j)]
 *
 * with r, q = +-1 by chance, within each group. It costs so much less than the pass as there are outputs in a sum, and no
 * single wrong output escapes: on integers the sum is off by exactly as much as the output is. (Algorithm-based fault
 * tolerance: Huang and Abraham, IEEE Trans. Computers C-33, 1984; random signs: Freivalds, IFIP 1977.)
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SUMS_H
#define TRIPASS_SUMS_H

#include "runner.h"

/* What every step-th element of the smaller problem's output should be, from `first` on. */
struct sums {
    struct conv_problem problem; /* the smaller one */
    uint64_t seed;               /* of the signs */
    size_t count, first, step;   /* count 0: nothing is known, as behind a curved activation */
    size_t terms;                /* outputs in each */
    double *value;
};

/* For data's problem and what its tensors hold now; `draw` chooses the signs and, if there are more than `most` sums,
 * which. After success: sums_free. False: no memory. */
bool sums_find(struct sums *sums, const struct data *data, size_t most, int draw);
void sums_free(struct sums *sums);

/* Bytes that sums_find and sums_compare take at the most, but for some kilobytes. */
size_t sums_footprint(const struct conv_problem *problem, enum conv_tensor output);

/* How many sums over a result (plain layout) are off by more than `allowed`, and by how much the first of them is. */
struct sums_verdict {
    size_t wrong, first; /* in the smaller problem's output */
    double off;
};
/* False: no memory. */
bool sums_compare(const struct sums *sums, const struct data *data, const float *result, double allowed,
                  struct sums_verdict *verdict);

#endif
