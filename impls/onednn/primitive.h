/* The library's primitives: made, asked and executed the same way in both of its versions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_ONEDNN_PRIMITIVE_H
#define TRIPASS_ONEDNN_PRIMITIVE_H

#include "conv.h"

#include <oneapi/dnnl/dnnl.h>

struct onednn_library {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

/* An execution argument (DNNL_ARG_*) and its data. */
struct onednn_argument {
    int index;
    const void *data;
};

/* The primitive of a descriptor, which is destroyed. NULL if there is none, or pd is NULL. */
dnnl_primitive_t onednn_create(dnnl_primitive_desc_t pd);

/* The descriptor of a primitive, which keeps it; the bytes that an argument takes; the implementation's name. */
const_dnnl_primitive_desc_t onednn_descriptor(dnnl_primitive_t primitive);
size_t onednn_bytes(dnnl_primitive_t primitive, int arg);
const char *onednn_name(dnnl_primitive_t primitive);

/* Executes and waits. n <= CONV_TENSORS + 2. */
void onednn_execute(const struct onednn_library *library, dnnl_primitive_t primitive,
                    const struct onednn_argument *args, int n);

/* Executes the convolution of a plan. beside: its bias or the gradient of that, if it has one. */
void onednn_convolve(const struct onednn_library *library, dnnl_primitive_t primitive,
                     const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *beside,
                     void *scratch);

#endif
