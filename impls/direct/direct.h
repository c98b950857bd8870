/* What the parts of the direct family share: the native layouts, and one pair of functions a kind of pass.
 *
 * Native layouts are those of kernels/layout.h, with three exceptions:
 *   - at most 12 input channels (a first layer): src is [mb][ih][iw][ic], wei [oc/16][kh][kw][ic][16];
 *   - small groups are merged until their channels fill blocks: block-diagonal weights, zero elsewhere;
 *   - depthwise: channels in blocks as without groups, wei [channels/16][kh][kw][16].
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_DIRECT_H
#define TRIPASS_DIRECT_H

#include "strip.h"

#include "kernels/brgemm.h"
#include "kernels/layout.h"

struct native {
    struct conv_problem problem; /* with merged groups */
    int merge;                   /* groups in one */
    int block;                   /* channels in a block of src: 16, or ic where that is at most 12 */
    bool depthwise;              /* then a "group" is a block of 16 channels */
    struct activation src, dst;  /* of one group */
};

struct native native_make(const struct conv_problem *problem);
size_t native_bytes(const struct native *native, enum conv_tensor tensor);
void native_convert(const struct conv_plan *plan, const struct native *native, enum conv_tensor tensor,
                    float *plain, float *blocked, bool import);

/* Floats of one 16 x 16 (first layer: ic x 16) block of the weights with all its taps. */
static inline size_t native_weight_block(const struct native *native)
{
    return (size_t)native->problem.kh * native->problem.kw * LAYOUT_BLOCK *
           (native->depthwise ? 1 : native->block);
}

/* Zeroes what merged groups do not have. */
void native_mask(const struct native *native, float *weights, int threads);

/* Level-2 cache of a core in bytes: what is used again and again within a task should fit half of it. */
size_t cache_bytes(void);

/* A kind of pass. plan: states scratch_bytes and detail, and makes *state; a reason on failure (then there is
 * nothing to destroy). */
struct engine {
    const char *(*plan)(struct conv_plan *plan, const struct native *native, void **state);
    void (*run)(const void *state, float *const tensor[CONV_TENSORS], float *scratch);
    void (*destroy)(void *state);
};

/* Forward and backward; the weight gradient; the same of depthwise. */
extern const struct engine gather_engine, gradient_engine, depthwise_engine, depthwise_gradient_engine;

#endif
