/* One pass of one convolution by one implementation, on plain tensors: the life of a plan (impls/conv.h) with the
 * memory it needs. What a network is built from.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PASS_H
#define TRIPASS_PASS_H

#include "conv.h"
#include "memory.h"

struct pass {
    const struct conv_impl *impl;
    struct conv_plan plan;
    struct buffer native[CONV_TENSORS], scratch;
    double run_s, convert_s; /* seconds so far: in conv_run; in import and export */
};

/* Plans the pass that the first group of *wanted asks for. Of a layer's parts (wanted->layer) it takes those whose
 * `beside` is plain: forward with bias and activation, the gradient of the weights with that of the bias. Returns
 * NULL, or the reason why it cannot be done; then nothing needs to be closed. */
const char *pass_plan(struct pass *pass, const struct conv_impl *impl, const struct conv_plan *wanted);

/* The same for a convolution alone, with the best instruction set. */
const char *pass_open(struct pass *pass, const struct conv_impl *impl, const struct conv_problem *problem,
                      enum conv_tensor output, int threads);
void pass_close(struct pass *pass);

/* Imports the two inputs, runs, exports the output. tensor: plain layouts of conv.h, caller's memory, 64-byte aligned.
 * bias: oc floats, read by forward and written by the gradient of a layer with bias; else NULL. */
void pass_run_layer(struct pass *pass, float *const tensor[CONV_TENSORS], float *bias);
void pass_run(struct pass *pass, float *const tensor[CONV_TENSORS]); /* bias: NULL */

/* A plain tensor: zeroed, 64-byte aligned, the caller's to free(). NULL: no memory. */
float *pass_tensor(size_t elements);

#endif
