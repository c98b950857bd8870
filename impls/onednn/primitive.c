/* See primitive.h. SPDX-License-Identifier: Apache-2.0 */
#include "onednn/primitive.h"
#include "onednn/shim.h"

const_dnnl_primitive_desc_t onednn_descriptor(dnnl_primitive_t primitive)
{
    const_dnnl_primitive_desc_t pd;
    dnnl_primitive_get_primitive_desc(primitive, &pd);
    return pd;
}

size_t onednn_bytes(dnnl_primitive_t primitive, int arg)
{
    return dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(onednn_descriptor(primitive), dnnl_query_exec_arg_md, arg));
}

dnnl_primitive_t onednn_create(dnnl_primitive_desc_t pd)
{
    dnnl_primitive_t primitive = NULL;
    if (pd && dnnl_primitive_create(&primitive, pd))
        primitive = NULL;
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    return primitive;
}

/* Memory objects are made anew for every call, so that calls share nothing: 0.3 us each. */
void onednn_execute(const struct onednn_library *library, dnnl_primitive_t primitive,
                    const struct onednn_argument *args, int n)
{
    dnnl_exec_arg_t list[CONV_TENSORS + 2] = {{0}};
    for (int i = 0; i < n; i++) {
        list[i].arg = args[i].index;
        dnnl_memory_create(
            &list[i].memory,
            dnnl_primitive_desc_query_md(onednn_descriptor(primitive), dnnl_query_exec_arg_md, args[i].index),
            library->engine, (void *)args[i].data);
    }
    dnnl_primitive_execute(primitive, library->stream, n, list);
    dnnl_stream_wait(library->stream);
    for (int i = 0; i < n; i++)
        dnnl_memory_destroy(list[i].memory);
}

void onednn_convolve(const struct onednn_library *library, dnnl_primitive_t primitive,
                     const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *beside,
                     void *scratch)
{
    const enum conv_tensor output = plan->output;
    const struct onednn_argument args[] = {
        {onednn_arg(output, CONV_SRC), tensor[CONV_SRC]},
        {onednn_arg(output, CONV_WEI), tensor[CONV_WEI]},
        {onednn_arg(output, CONV_DST), tensor[CONV_DST]},
        {DNNL_ARG_SCRATCHPAD, scratch},
        {onednn_bias_arg(plan), beside},
    };
    onednn_execute(library, primitive, args, onednn_bias_arg(plan) ? 5 : 4);
}

const char *onednn_name(dnnl_primitive_t primitive)
{
    const char *name = "?";
    dnnl_primitive_desc_query(onednn_descriptor(primitive), dnnl_query_impl_info_str, 0, &name);
    return name;
}
