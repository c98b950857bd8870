/* What differs between the C interfaces of oneDNN 2 and 3, behind one: making primitive descriptors. All else
 * (primitives, memory objects, queries by execution argument) reads the same in both.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_ONEDNN_SHIM_H
#define TRIPASS_ONEDNN_SHIM_H

#include "conv.h"

#include <oneapi/dnnl/dnnl.h>

/* ANY: the library's choice. NHWC: images channels-last, weights the library's choice. PLAIN: NCHW, OIHW. */
enum onednn_layout { ONEDNN_ANY, ONEDNN_NHWC, ONEDNN_PLAIN };

/* One way to ask for a convolution. `prop` is dnnl_forward_training or dnnl_forward_inference; the other
 * passes take the former. */
struct onednn_variant {
    dnnl_prop_kind_t prop;
    dnnl_alg_kind_t alg;
    enum onednn_layout layout;
};

/* The argument by which the pass that writes `output` knows `tensor`, for queries and execution. */
int onednn_arg(enum conv_tensor output, enum conv_tensor tensor);

/* The argument by which the convolution of a plan knows its bias or the gradient of that; 0: it has neither. */
int onednn_bias_arg(const struct conv_plan *plan);

/* Padding below (axis 0) or to the right (axis 1) that the sizes imply; may be negative. */
int onednn_padding_after(const struct conv_problem *problem, int axis);

/* Descriptor of a plan's pass, with its layer's bias and, forward, its activation, with scratchpad from the user, for
 * the number of threads that OpenMP now has. NULL if the library has none. The caller destroys it. */
dnnl_primitive_desc_t onednn_convolution(dnnl_engine_t engine, const struct conv_plan *plan,
                                         const struct onednn_variant *variant);

/* Descriptor of dz = dy * phi'(y) on the layout in which `convolution`, the descriptor of a backward pass, takes dz. */
dnnl_primitive_desc_t onednn_slope(dnnl_engine_t engine, enum activation_kind activation,
                                   const_dnnl_primitive_desc_t convolution);

/* Descriptor of the reorder of `tensor` from its plain layout to the one that `convolution` (a descriptor of
 * the pass that writes `output`) takes; back if not `inward`. NULL if the library has none. */
struct onednn_reorder {
    const struct conv_problem *problem;
    enum conv_tensor output, tensor;
    const_dnnl_primitive_desc_t convolution;
};
dnnl_primitive_desc_t onednn_reorder(dnnl_engine_t engine, const struct onednn_reorder *reorder, bool inward);

#endif
