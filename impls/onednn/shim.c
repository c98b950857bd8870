/* oneDNN 2 fills descriptor structures and makes a primitive descriptor of them; oneDNN 3 makes it in one call and
 * has opaque memory descriptors. SPDX-License-Identifier: Apache-2.0 */
#include "onednn/shim.h"

/* What a convolution is made of, in the library's words. */
struct request {
    dnnl_engine_t engine;
    const struct onednn_variant *variant;
    dnnl_memory_desc_t md[CONV_TENSORS];
    dnnl_memory_desc_t bias; /* zero: none */
    dnnl_dims_t strides, dilates, before, after;
    dnnl_primitive_attr_t attr;
};

/* phi in the library's words; its slope is taken from y. */
struct eltwise {
    dnnl_alg_kind_t forward, backward;
    float alpha;
};
static const struct eltwise eltwises[ACTIVATIONS] = {
    [ACTIVATION_RELU] = {dnnl_eltwise_relu, dnnl_eltwise_relu_use_dst_for_bwd, 0},
    [ACTIVATION_LEAKY_RELU] = {dnnl_eltwise_relu, dnnl_eltwise_relu_use_dst_for_bwd, ACTIVATION_LEAK},
    [ACTIVATION_TANH] = {dnnl_eltwise_tanh, dnnl_eltwise_tanh_use_dst_for_bwd, 0},
    [ACTIVATION_SIGMOID] = {dnnl_eltwise_logistic, dnnl_eltwise_logistic_use_dst_for_bwd, 0},
};

#if DNNL_VERSION_MAJOR >= 3

#define MD(md) (md)

static void create_md(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_create_with_tag(md, rank, dims, dnnl_f32, tag);
}

static void destroy_md(dnnl_memory_desc_t *md)
{
    dnnl_memory_desc_destroy(*md);
}

static dnnl_status_t create_pass(dnnl_primitive_desc_t *pd, const struct request *r, enum conv_tensor output,
                                 const_dnnl_primitive_desc_t forward)
{
    const dnnl_memory_desc_t *md = r->md;
    switch (output) {
    case CONV_SRC:
        return dnnl_convolution_backward_data_primitive_desc_create(
            pd, r->engine, r->variant->alg, md[CONV_SRC], md[CONV_WEI], md[CONV_DST], r->strides, r->dilates,
            r->before, r->after, forward, r->attr);
    case CONV_WEI:
        return dnnl_convolution_backward_weights_primitive_desc_create(
            pd, r->engine, r->variant->alg, md[CONV_SRC], md[CONV_WEI], r->bias, md[CONV_DST], r->strides,
            r->dilates, r->before, r->after, forward, r->attr);
    default:
        return dnnl_convolution_forward_primitive_desc_create(
            pd, r->engine, r->variant->prop, r->variant->alg, md[CONV_SRC], md[CONV_WEI], r->bias,
            md[CONV_DST], r->strides, r->dilates, r->before, r->after, r->attr);
    }
}

static void append_eltwise(dnnl_post_ops_t ops, const struct eltwise *e)
{
    dnnl_post_ops_append_eltwise(ops, e->forward, e->alpha, 0);
}

/* pd: of phi's slope, or, with no forward, of phi. */
static dnnl_status_t create_eltwise(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const struct eltwise *e,
                                    const_dnnl_memory_desc_t md, const_dnnl_primitive_desc_t forward)
{
    return forward ? dnnl_eltwise_backward_primitive_desc_create(pd, engine, e->backward, md, md, md,
                                                                 e->alpha, 0, forward, NULL)
                   : dnnl_eltwise_forward_primitive_desc_create(pd, engine, dnnl_forward_training,
                                                                e->backward, md, md, e->alpha, 0, NULL);
}

#else

#define MD(md) (&(md))

static void create_md(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_init_by_tag(md, rank, dims, dnnl_f32, tag);
}

static void destroy_md(dnnl_memory_desc_t *md)
{
    (void)md;
}

static dnnl_status_t create_pass(dnnl_primitive_desc_t *pd, const struct request *r, enum conv_tensor output,
                                 const_dnnl_primitive_desc_t forward)
{
    const dnnl_memory_desc_t *md = r->md;
    dnnl_convolution_desc_t desc;
    dnnl_status_t status;
    switch (output) {
    case CONV_SRC:
        status = dnnl_dilated_convolution_backward_data_desc_init(&desc, r->variant->alg, &md[CONV_SRC],
                                                                  &md[CONV_WEI], &md[CONV_DST], r->strides,
                                                                  r->dilates, r->before, r->after);
        break;
    case CONV_WEI:
        status = dnnl_dilated_convolution_backward_weights_desc_init(
            &desc, r->variant->alg, &md[CONV_SRC], &md[CONV_WEI], &r->bias, &md[CONV_DST], r->strides,
            r->dilates, r->before, r->after);
        break;
    default:
        status = dnnl_dilated_convolution_forward_desc_init(
            &desc, r->variant->prop, r->variant->alg, &md[CONV_SRC], &md[CONV_WEI], &r->bias, &md[CONV_DST],
            r->strides, r->dilates, r->before, r->after);
    }
    return status ? status : dnnl_primitive_desc_create(pd, &desc, r->attr, r->engine, forward);
}

static void append_eltwise(dnnl_post_ops_t ops, const struct eltwise *e)
{
    dnnl_post_ops_append_eltwise(ops, 1, e->forward, e->alpha, 0);
}

static dnnl_status_t create_eltwise(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const struct eltwise *e,
                                    const dnnl_memory_desc_t *md, const_dnnl_primitive_desc_t forward)
{
    dnnl_eltwise_desc_t desc;
    const dnnl_status_t status =
        forward ? dnnl_eltwise_backward_desc_init(&desc, e->backward, md, md, e->alpha, 0)
                : dnnl_eltwise_forward_desc_init(&desc, dnnl_forward_training, e->backward, md, e->alpha, 0);
    return status ? status : dnnl_primitive_desc_create(pd, &desc, NULL, engine, forward);
}

#endif

int onednn_arg(enum conv_tensor output, enum conv_tensor tensor)
{
    static const int args[CONV_TENSORS][CONV_TENSORS] = {
        [CONV_SRC] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        [CONV_WEI] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
        [CONV_DST] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
    };
    return args[output][tensor];
}

int onednn_bias_arg(const struct conv_plan *plan)
{
    static const int args[CONV_TENSORS] = {
        [CONV_SRC] = 0, [CONV_WEI] = DNNL_ARG_DIFF_BIAS, [CONV_DST] = DNNL_ARG_BIAS};
    return plan->layer.bias ? args[plan->output] : 0;
}

int onednn_padding_after(const struct conv_problem *p, int axis)
{
    return axis == 0 ? (p->oh - 1) * p->sh + (p->kh - 1) * (p->dh + 1) + 1 - p->ih - p->ph
                     : (p->ow - 1) * p->sw + (p->kw - 1) * (p->dw + 1) + 1 - p->iw - p->pw;
}

static void create_tensor_md(dnnl_memory_desc_t *md, const struct conv_problem *p, enum conv_tensor tensor,
                             enum onednn_layout layout)
{
    static const dnnl_format_tag_t image[] = {dnnl_format_tag_any, dnnl_nhwc, dnnl_nchw};
    static const dnnl_format_tag_t dense[] = {dnnl_format_tag_any, dnnl_format_tag_any, dnnl_oihw};
    static const dnnl_format_tag_t grouped[] = {dnnl_format_tag_any, dnnl_format_tag_any, dnnl_goihw};
    if (tensor == CONV_SRC)
        create_md(md, 4, (dnnl_dims_t){p->mb, p->ic, p->ih, p->iw}, image[layout]);
    else if (tensor == CONV_DST)
        create_md(md, 4, (dnnl_dims_t){p->mb, p->oc, p->oh, p->ow}, image[layout]);
    else if (p->g == 1)
        create_md(md, 4, (dnnl_dims_t){p->oc, p->ic, p->kh, p->kw}, dense[layout]);
    else
        create_md(md, 5, (dnnl_dims_t){p->g, p->oc / p->g, p->ic / p->g, p->kh, p->kw}, grouped[layout]);
}

/* Scratchpad from the user; phi behind a forward pass. */
static dnnl_primitive_attr_t create_attr(const struct conv_plan *plan)
{
    dnnl_primitive_attr_t attr;
    dnnl_primitive_attr_create(&attr);
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (plan->output == CONV_DST && plan->layer.activation != ACTIVATION_IDENTITY) {
        dnnl_post_ops_t ops;
        dnnl_post_ops_create(&ops);
        append_eltwise(ops, &eltwises[plan->layer.activation]);
        dnnl_primitive_attr_set_post_ops(attr, ops);
        dnnl_post_ops_destroy(ops);
    }
    return attr;
}

dnnl_primitive_desc_t onednn_convolution(dnnl_engine_t engine, const struct conv_plan *plan,
                                         const struct onednn_variant *variant)
{
    const struct conv_problem *p = &plan->problem;
    const enum conv_tensor output = plan->output;
    struct request r = {
        .engine = engine,
        .variant = variant,
        .strides = {p->sh, p->sw},
        .dilates = {p->dh, p->dw},
        .before = {p->ph, p->pw},
        .after = {onednn_padding_after(p, 0), onednn_padding_after(p, 1)},
        .attr = create_attr(plan),
    };
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        create_tensor_md(&r.md[t], p, t, variant->layout);
    if (onednn_bias_arg(plan))
        create_md(&r.bias, 1, (dnnl_dims_t){p->oc}, dnnl_a);

    /* The other passes ask for the forward pass that they belong to. */
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
    if (create_pass(&forward, &r, CONV_DST, NULL))
        forward = NULL;
    if (output != CONV_DST && forward) {
        if (create_pass(&pd, &r, output, forward))
            pd = NULL;
        dnnl_primitive_desc_destroy(forward);
    } else {
        pd = forward;
    }

    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        destroy_md(&r.md[t]);
    if (onednn_bias_arg(plan))
        destroy_md(&r.bias);
    dnnl_primitive_attr_destroy(r.attr);
    return pd;
}

dnnl_primitive_desc_t onednn_slope(dnnl_engine_t engine, enum activation_kind activation,
                                   const_dnnl_primitive_desc_t convolution)
{
    const struct eltwise *e = &eltwises[activation];
    const void *md = dnnl_primitive_desc_query_md(convolution, dnnl_query_exec_arg_md, DNNL_ARG_DIFF_DST);
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
    if (create_eltwise(&forward, engine, e, md, NULL))
        return NULL;
    if (create_eltwise(&pd, engine, e, md, forward))
        pd = NULL;
    dnnl_primitive_desc_destroy(forward);
    return pd;
}

dnnl_primitive_desc_t onednn_reorder(dnnl_engine_t engine, const struct onednn_reorder *r, bool inward)
{
    dnnl_memory_desc_t plain;
    create_tensor_md(&plain, r->problem, r->tensor, ONEDNN_PLAIN);
    int arg = onednn_arg(r->output, r->tensor);
    const void *from = MD(plain),
               *to = dnnl_primitive_desc_query_md(r->convolution, dnnl_query_exec_arg_md, arg);
    dnnl_primitive_desc_t pd = NULL;
    if (dnnl_reorder_primitive_desc_create(&pd, inward ? from : to, engine, inward ? to : from, engine, NULL))
        pd = NULL;
    destroy_md(&plain);
    return pd;
}
