/* The contract between an implementation of convolution and whoever runs it.
 *
 * A convolution layer is one trilinear form over three tensors,
 *
 *     T(src, wei, dst) = sum over mb, oc, oh, ow, ic, kh, kw of  src * wei * dst   (valid taps only),
 *
 * and each pass is the gradient of T with respect to one of them: it reads two tensors and writes the
 * third. So a pass is named by the tensor that it writes:
 *
 *     output     pass            reads       formula (x: correlation; per image s, channels i -> j)
 *     CONV_DST   forward    fwd  src, wei    dst(s,j) = sum_i src(s,i) x wei(j,i)
 *     CONV_SRC   backward   bwd  wei, dst    src(s,i) = sum_j dst(s,j) x rot180 wei(j,i)
 *     CONV_WEI   gradient   upd  src, dst    wei(j,i) = sum_s dst(s,j) x src(s,i)
 *
 * (`upd` is the gradient and then the SGD step w <- w - mu * gradient; the step is elementwise, so the
 * harness applies it to whatever layout the gradient has.)
 *
 * An implementation is one `const struct conv_impl` and one line in registry.c. Life of a plan:
 *
 *     refuse -> plan -> import (the two inputs) -> run, run, ... -> export (the output) -> destroy
 *
 * after FFTW, oneDNN and cuDNN: everything that depends on shapes alone happens in `plan`; everything that
 * depends on the values of a tensor (a weight transform, a packed or flipped copy) happens in `run`,
 * because in training the values change at every step.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CONV_H
#define TRIPASS_CONV_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stddef.h>

enum conv_tensor { CONV_SRC, CONV_WEI, CONV_DST, CONV_TENSORS };

/* Sizes in benchdnn's words. All tensors are float. Plain layouts, row-major:
 *   src  mb x ic x ih x iw          (NCHW)
 *   wei  oc x (ic/g) x kh x kw      (OIHW; with groups GOIHW, which is the same memory)
 *   dst  mb x oc x oh x ow          (NCHW)
 * dh, dw: dilation, 0 = dense, tap (kh) reads row oh*sh - ph + kh*(dh+1). Reads outside the image are
 * zero. The padding below and to the right is whatever oh and ow make it (it may be negative). */
struct conv_problem {
    int g, mb, ic, ih, iw, oc, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw;
};

/* NULL if the problem is sound: positive sizes, channels divisible by groups, every element count and the
 * operation count representable. Otherwise a static reason. Everything below assumes a sound problem. */
const char *conv_problem_unsound(const struct conv_problem *problem);

/* Extents of a tensor's plain layout, outermost first; and their product. */
void conv_extents(const struct conv_problem *problem, enum conv_tensor tensor, int extent[4]);
size_t conv_elements(const struct conv_problem *problem, enum conv_tensor tensor);

/* Floating-point operations, the same for the three passes (a multiply-add is 2).
 * nominal: 2*mb*oc*(ic/g)*oh*ow*kh*kw, padding included; what GFLOP/s are quoted in.
 * valid: the taps that fall inside the image only (benchdnn's convention). */
double conv_flop_nominal(const struct conv_problem *problem);
double conv_flop_valid(const struct conv_problem *problem);

/* Longest sum behind one element of the output: (ic/g)*kh*kw, (oc/g)*kh*kw, or mb*oh*ow. */
double conv_reduction(const struct conv_problem *problem, enum conv_tensor output);

/* sum |products| of an output with the most products of all, in the mean over data uniform in [-1, 1]: 1/4 each. Never 0. */
double conv_full_sum(const struct conv_problem *problem, enum conv_tensor output);

/* "fwd", "bwd", "upd" for CONV_DST, CONV_SRC, CONV_WEI. */
const char *conv_pass_name(enum conv_tensor output);

/* Rounding error that summing in float may cost, as a fraction of the sum of the |products|: the
 * probabilistic bound lambda * sqrt(n) * u with lambda = 6, u = 2^-24, n = conv_reduction (Higham and
 * Mary, SIAM J. Sci. Comput. 41(5), 2019), plus 2u for storing. */
double conv_rounding_bound(const struct conv_problem *problem, enum conv_tensor output);

/* Elementwise functions phi (activation.h). */
enum activation_kind {
    ACTIVATION_IDENTITY,
    ACTIVATION_RELU,
    ACTIVATION_LEAKY_RELU,
    ACTIVATION_TANH,
    ACTIVATION_SIGMOID,
    ACTIVATIONS
};

#define ACTIVATION_LEAK 0.01f /* slope of leaky-relu below zero */

/* What a layer y = phi(src x wei + b) has beside its convolution; all zero: nothing. A framework's passes then are
 *
 *     fwd   dst = phi(convolution + b)                          beside: b, read
 *     bwd   dz = dy * phi'(y), then the convolution of dz       beside: y, read (`dst` is dy)
 *     upd   the convolution of dz, which bwd has made           beside: db = sum of dz over images and pixels, written
 *
 * `beside` is one more tensor: b and db are oc plain floats, y is native as dst is. */
struct conv_layer {
    bool bias;
    enum activation_kind activation; /* phi */
};

/* A problem, a pass and how an implementation will run it. The first group is filled by the caller before
 * `plan`, the second by `plan`. Immutable afterwards: several threads of control may run the same plan with
 * their own tensors and scratch. */
struct conv_plan {
    struct conv_problem problem;
    enum conv_tensor output;
    int threads;  /* OpenMP threads that `run` uses, >= 1 */
    enum isa isa; /* the best instruction set that kernels may use */
    struct conv_layer layer;
    bool
        estimate; /* the plan is asked for its sizes and will not run: `plan` executes nothing, and where it would try
                      several ways it takes one and says so in `detail` */

    size_t bytes[CONV_TENSORS]; /* size of each native tensor */
    size_t scratch_bytes;       /* size of the working memory `run` needs; may be 0 */
    char detail[64];            /* what will really run, for the row: a kernel's or library's own name */
    void *state;                /* the implementation's own; freed by `destroy` */

    /* Native dst: [mb][dst_groups][ceil(oc / dst_groups / dst_block)][oh][ow][dst_block], where dst_block divides 16.
     * 1 and 1, the plain layout, unless `plan` says otherwise; so that others find an element's channel. */
    int dst_groups, dst_block;
};

/* The tensors are native (import and export convert), 64-byte aligned, and do not overlap. Functions that
 * may be NULL say so; an implementation is immutable and holds no state that results
 * depend on. */
struct conv_impl {
    const char *name;    /* key of the results: lower case, never renamed */
    const char *family;  /* reference, direct, explicit, im2col, winograd, onednn */
    const char *summary; /* one line */
    const char *source;  /* paper, book or library */

    /* How many times fewer multiplications than the nominal count it may do, at best; 0 means 1. A speed above the
     * FMA ceiling that this does not explain is flagged. */
    double saving;

    /* On data that are small integers, and whose sums of |products| stay below 2^24 / exact, the result equals the
     * definition bit for bit; so 1 (true) for who only adds products up. More, at most CONV_EXACT_MOST, where what is
     * added up is larger or has binary places, as in F(2, 3). 0 (false): never, for who divides by 3, say. */
    int exact;

    /* NULL if this problem and pass can be done, otherwise a static reason ("stride 1 only").
     * A problem that is not refused must plan (memory permitting) and run. NULL: never refuses. */
    const char *(*refuse)(const struct conv_problem *problem, enum conv_tensor output);

    /* Fills the second group of the plan. Returns NULL, or a static reason on failure; then nothing needs
     * to be destroyed. The caller has zeroed the second group. */
    const char *(*plan)(struct conv_plan *plan);

    /* One tensor from its plain to its native layout, and back. They move elements and compute nothing; native padding,
     * where there is any, is written as zero by import. NULL: the native layouts are the plain ones. */
    void (*import)(const struct conv_plan *plan, enum conv_tensor tensor, const float *plain, float *native);
    void (*export)(const struct conv_plan *plan, enum conv_tensor tensor, const float *native, float *plain);

    /* Computes tensor[plan->output] from the other two. Allocates nothing, prints nothing, cannot fail.
     * Writes every element of its output (native padding included, as zero), whatever was there before,
     * and leaves the inputs as they are. scratch: scratch_bytes, 64-byte aligned, of undefined content. */
    void (*run)(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch);

    /* `run` for a plan with a layer, for a library that fuses it. NULL: conv_run does the rest around `run`. */
    void (*run_layer)(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *beside,
                      void *scratch);

    /* Frees state. NULL: nothing to free. */
    void (*destroy)(struct conv_plan *plan);

    /* Bound on |error| / max(sum |products|, conv_full_sum) for data uniform in [-1, 1], finite and at most
     * CONV_BOUND_MOST. The maximum is for algorithms that compute many outputs from common values, as Winograd's
     * tiles: their errors are those of full sums even where few products, or one tiny one, remain of an output.
     * NULL: conv_rounding_bound, on sum |products| alone. */
    double (*error_bound)(const struct conv_problem *problem, enum conv_tensor output);

    /* Bound on |error| where every output is a single product at most, of factors +-[3/4, 1]; at most CONV_BOUND_MOST. One
     * input is so sparse: of src (bwd: dst) every P-th row and column is not zero, P >= kernel + stride - 1, and there one
     * channel of each group; of dst (upd) one pixel of each channel. NULL: conv_rounding_bound of one product. */
    double (*tap_bound)(const struct conv_problem *problem, enum conv_tensor output);
};

/* A bound above this is none: a result that is wrong by a hundredth would pass. */
#define CONV_BOUND_MOST 1e-2

/* The largest `exact` of all. */
enum { CONV_EXACT_MOST = 64 };

/* Every implementation, in the order in which they are listed; the last element is NULL. */
extern const struct conv_impl *const conv_impls[];

/* The implementation of that name, or NULL. */
const struct conv_impl *conv_impl_find(const char *name);

/* Plans `impl` for what the first group of *plan says: refuse, then plan, with the second group zeroed.
 * Returns NULL, or the reason why it cannot. On success the caller destroys with conv_plan_destroy. */
const char *conv_plan_make(const struct conv_impl *impl, struct conv_plan *plan);
void conv_plan_destroy(const struct conv_impl *impl, struct conv_plan *plan);

/* Size of `beside`: 0 where the layer adds nothing to this pass. */
size_t conv_beside_bytes(const struct conv_plan *plan);

/* The pass of the plan's layer, by `impl`. beside: conv_beside_bytes, 64-byte aligned; tensor and scratch as for run. */
void conv_run(const struct conv_impl *impl, const struct conv_plan *plan, float *const tensor[CONV_TENSORS],
              float *beside, void *scratch);

/* The implementation's error_bound, or conv_rounding_bound if it has none of its own; and its tap_bound, or that of one product. */
double conv_error_bound(const struct conv_impl *impl, const struct conv_problem *problem,
                        enum conv_tensor output);
double conv_tap_bound(const struct conv_impl *impl, const struct conv_problem *problem,
                      enum conv_tensor output);

/* The definition, element by element, in double: the value of output element `index` (plain layout) and the
 * sum of the |products| behind it. tensor: plain layouts; the output's entry is not read. This is the
 * oracle that everything else is checked against. */
struct conv_element {
    double value, magnitude;
};
struct conv_element reference_element(const struct conv_problem *problem, enum conv_tensor output,
                                      const float *const tensor[CONV_TENSORS], size_t index);

#endif
