/* oneDNN as three implementations: the library at its best (the fastest of what it offers, by trial), in plain
 * NCHW, and its Winograd (x86 with AVX-512, up to version 3.1).
 * https://uxlfoundation.github.io/oneDNN/dev_guide_convolution.html
 * SPDX-License-Identifier: Apache-2.0 */
#include "onednn/shim.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t convolution;
    dnnl_primitive_t reorder[CONV_TENSORS][2]; /* to the plain layout, from it; NULL where all is plain */
};

/* ---- primitives ---- */

static const_dnnl_primitive_desc_t descriptor(dnnl_primitive_t primitive)
{
    const_dnnl_primitive_desc_t pd;
    dnnl_primitive_get_primitive_desc(primitive, &pd);
    return pd;
}

static size_t argument_bytes(dnnl_primitive_t primitive, int arg)
{
    return dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(descriptor(primitive), dnnl_query_exec_arg_md, arg));
}

/* NULL if pd is. */
static dnnl_primitive_t create_primitive(dnnl_primitive_desc_t pd)
{
    dnnl_primitive_t primitive = NULL;
    if (pd && dnnl_primitive_create(&primitive, pd))
        primitive = NULL;
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    return primitive;
}

struct argument {
    int index;
    const void *data;
};

/* Memory objects are made anew for every call, so that calls share nothing: 0.3 us each. */
static void execute(const struct state *state, dnnl_primitive_t primitive, const struct argument *args, int n)
{
    dnnl_exec_arg_t list[CONV_TENSORS + 1];
    for (int i = 0; i < n; i++) {
        list[i].arg = args[i].index;
        dnnl_memory_create(
            &list[i].memory,
            dnnl_primitive_desc_query_md(descriptor(primitive), dnnl_query_exec_arg_md, args[i].index),
            state->engine, (void *)args[i].data);
    }
    dnnl_primitive_execute(primitive, state->stream, n, list);
    dnnl_stream_wait(state->stream);
    for (int i = 0; i < n; i++)
        dnnl_memory_destroy(list[i].memory);
}

static void convolve(const struct state *state, dnnl_primitive_t primitive, enum conv_tensor output,
                     float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct argument args[] = {
        {onednn_arg(output, CONV_SRC), tensor[CONV_SRC]},
        {onednn_arg(output, CONV_WEI), tensor[CONV_WEI]},
        {onednn_arg(output, CONV_DST), tensor[CONV_DST]},
        {DNNL_ARG_SCRATCHPAD, scratch},
    };
    execute(state, primitive, args, 4);
}

/* The library takes as many threads as OpenMP would give the caller: returns what that was. */
static int set_threads(int threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

/* ---- instruction set ---- */

/* The library's instruction set is one for the whole process, fixed when it is first used. Its lowest is
 * SSE4.1, which stands for generic. */
static const char *cap_isa(enum isa isa)
{
#ifdef TRIPASS_X86
    static const dnnl_cpu_isa_t caps[ISAS] = {dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2,
                                              (dnnl_cpu_isa_t)0 /* all */};
    if (dnnl_set_max_cpu_isa(caps[isa]) == dnnl_success)
        return NULL;
    dnnl_cpu_isa_t now = dnnl_get_effective_cpu_isa();
    enum isa level = now >= dnnl_cpu_isa_avx512_core ? ISA_AVX512
                     : now >= dnnl_cpu_isa_avx2      ? ISA_AVX2
                                                     : ISA_GENERIC;
    bool machine_has_more =
        level == ISA_AVX2 ? __builtin_cpu_supports("avx512f") : __builtin_cpu_supports("avx2");
    if (level > isa || (level < isa && machine_has_more))
        return "oneDNN already runs with another instruction set in this process";
#else
    (void)isa;
#endif
    return NULL;
}

/* ---- the choice among variants ---- */

struct candidate {
    const struct onednn_variant *variant;
    dnnl_primitive_t primitive;
    double best, spent; /* seconds of the fastest trial and of all */
};

/* 1x1, strided, channels-last, fewer input channels than a vector: silently wrong weight gradients, or a hang
 * (https://github.com/uxlfoundation/oneDNN/issues/6035). */
static bool known_wrong(const struct conv_problem *p, enum conv_tensor output, const struct onednn_variant *v)
{
    return output == CONV_WEI && v->layout == ONEDNN_NHWC && p->kh * p->kw == 1 && (p->sh > 1 || p->sw > 1) &&
           p->ic / p->g < 16;
}

/* Runs the candidates in turn, in memory of their own, and returns the fastest by its best of 3 to 30 calls, within
 * about 0.1 s a candidate; one that is 4 times slower than another may stop earlier. NULL: out of memory. */
static struct candidate *race(const struct conv_plan *plan, const struct state *state, struct candidate *list,
                              int n)
{
    size_t bytes[CONV_TENSORS + 1] = {0};
    for (int i = 0; i < n; i++)
        for (int t = 0; t <= CONV_TENSORS; t++) {
            int arg = t == CONV_TENSORS ? DNNL_ARG_SCRATCHPAD : onednn_arg(plan->output, (enum conv_tensor)t);
            size_t need = argument_bytes(list[i].primitive, arg);
            bytes[t] = need > bytes[t] ? need : bytes[t];
        }
    float *memory[CONV_TENSORS + 1];
    bool have = true;
    for (int t = 0; t <= CONV_TENSORS; t++) {
        memory[t] = aligned_alloc(64, (bytes[t] + 64) / 64 * 64);
        have = have && memory[t];
        if (memory[t])
            memset(memory[t], 0, bytes[t]);
    }
    struct candidate *fastest = list;
    for (int round = 0; have && round < 30; round++)
        for (struct candidate *c = list; c < list + n; c++) {
            if (c->spent > 0.1 && (round >= 3 || c->best > 4 * fastest->best))
                continue;
            double start = omp_get_wtime();
            convolve(state, c->primitive, plan->output, memory, memory[CONV_TENSORS]);
            double time = omp_get_wtime() - start;
            c->spent += time;
            c->best = round == 0 || time < c->best ? time : c->best;
            fastest = c->best < fastest->best ? c : fastest;
        }
    for (int t = 0; t <= CONV_TENSORS; t++)
        free(memory[t]);
    return have ? fastest : NULL;
}

static const char *implementation_name(dnnl_primitive_t primitive)
{
    const char *name = "?";
    dnnl_primitive_desc_query(descriptor(primitive), dnnl_query_impl_info_str, 0, &name);
    return name;
}

/* Two variants often lead to one and the same implementation and layouts. */
static bool same_primitive(dnnl_primitive_t a, dnnl_primitive_t b, enum conv_tensor output)
{
    bool same = !strcmp(implementation_name(a), implementation_name(b));
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        int arg = onednn_arg(output, t);
        same = same && dnnl_memory_desc_equal(
                           dnnl_primitive_desc_query_md(descriptor(a), dnnl_query_exec_arg_md, arg),
                           dnnl_primitive_desc_query_md(descriptor(b), dnnl_query_exec_arg_md, arg));
    }
    return same;
}

/* Adds what the library has for the variant, unless it is there already. */
static int add_candidate(const struct conv_plan *plan, const struct state *state, struct candidate *list,
                         int n, const struct onednn_variant *variant)
{
    dnnl_primitive_t primitive =
        create_primitive(onednn_convolution(state->engine, &plan->problem, plan->output, variant));
    if (!primitive)
        return n;
    for (int i = 0; i < n; i++)
        if (same_primitive(list[i].primitive, primitive, plan->output)) {
            dnnl_primitive_destroy(primitive);
            return n;
        }
    list[n] = (struct candidate){.variant = variant, .primitive = primitive};
    return n + 1;
}

enum { VARIANTS_MAX = 4 };

/* The convolution of the plan and what it is called. */
static const char *choose(struct conv_plan *plan, struct state *state, const struct onednn_variant *variants,
                          int n)
{
    struct candidate list[VARIANTS_MAX];
    int count = 0;
    for (const struct onednn_variant *v = variants; v < variants + n; v++)
        if ((plan->output == CONV_DST || v->prop == dnnl_forward_training) &&
            !known_wrong(&plan->problem, plan->output, v))
            count = add_candidate(plan, state, list, count, v);
    if (count == 0)
        return "this oneDNN has no such implementation for this problem";

    struct candidate *winner = count == 1 ? list : race(plan, state, list, count);
    for (struct candidate *c = list; c < list + count; c++)
        if (c != winner)
            dnnl_primitive_destroy(c->primitive);
    if (!winner)
        return "out of memory for oneDNN's trials";

    static const char *const layouts[] = {"any", "nhwc", "nchw"};
    const char *prop = plan->output != CONV_DST                         ? ""
                       : winner->variant->prop == dnnl_forward_training ? " fwd_training"
                                                                        : " fwd_inference";
    snprintf(plan->detail, sizeof plan->detail, "%s%s %s", implementation_name(winner->primitive), prop,
             layouts[winner->variant->layout]);
    state->convolution = winner->primitive;
    return NULL;
}

/* ---- the contract ---- */

static void destroy(struct conv_plan *plan)
{
    struct state *state = plan->state;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        for (int inward = 0; inward < 2; inward++)
            if (state->reorder[t][inward])
                dnnl_primitive_destroy(state->reorder[t][inward]);
    if (state->convolution)
        dnnl_primitive_destroy(state->convolution);
    dnnl_stream_destroy(state->stream);
    dnnl_engine_destroy(state->engine);
    free(state);
}

static const char *create_reorders(const struct conv_plan *plan, struct state *state)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        struct onednn_reorder reorder = {&plan->problem, plan->output, t, descriptor(state->convolution)};
        for (int inward = 0; inward < 2; inward++) {
            state->reorder[t][inward] = create_primitive(onednn_reorder(state->engine, &reorder, inward));
            if (!state->reorder[t][inward])
                return "oneDNN cannot reorder a tensor to or from its own layout";
        }
    }
    return NULL;
}

static const char *make_plan(struct conv_plan *plan, const struct onednn_variant *variants, int n)
{
    const char *reason = cap_isa(plan->isa);
    if (reason)
        return reason;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return "out of memory";
    dnnl_engine_create(&state->engine, dnnl_cpu, 0);
    dnnl_stream_create(&state->stream, state->engine, dnnl_stream_default_flags);
    plan->state = state;

    int before = set_threads(plan->threads);
    reason = choose(plan, state, variants, n);
    if (!reason && variants->layout != ONEDNN_PLAIN)
        reason = create_reorders(plan, state);
    set_threads(before);
    if (reason) {
        destroy(plan);
        return reason;
    }
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = argument_bytes(state->convolution, onednn_arg(plan->output, t));
    plan->scratch_bytes = argument_bytes(state->convolution, DNNL_ARG_SCRATCHPAD);
    return NULL;
}

static void reorder(const struct conv_plan *plan, enum conv_tensor tensor, bool inward, const float *from,
                    float *to)
{
    const struct state *state = plan->state;
    const struct argument args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    int before = set_threads(plan->threads);
    execute(state, state->reorder[tensor][inward], args, 2);
    set_threads(before);
}

static void import(const struct conv_plan *plan, enum conv_tensor tensor, const float *plain, float *native)
{
    reorder(plan, tensor, true, plain, native);
}

static void export(const struct conv_plan *plan, enum conv_tensor tensor, const float *native, float *plain)
{
    reorder(plan, tensor, false, native, plain);
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct state *state = plan->state;
    int before = set_threads(plan->threads);
    convolve(state, state->convolution, plan->output, tensor, scratch);
    set_threads(before);
}

/* The library checks the output size against the padding after the image, which must exceed -stride. */
static const char *refuse(const struct conv_problem *p, enum conv_tensor output)
{
    (void)output;
    if (onednn_padding_after(p, 0) <= -p->sh || onednn_padding_after(p, 1) <= -p->sw)
        return "oneDNN takes no output that leaves a stride or more of the image unread";
    return NULL;
}

static const char *plan_best(struct conv_plan *plan)
{
    static const struct onednn_variant variants[VARIANTS_MAX] = {
        {dnnl_forward_training, dnnl_convolution_direct, ONEDNN_ANY},
        {dnnl_forward_inference, dnnl_convolution_direct, ONEDNN_ANY},
        {dnnl_forward_training, dnnl_convolution_direct, ONEDNN_NHWC},
        {dnnl_forward_inference, dnnl_convolution_direct, ONEDNN_NHWC},
    };
    return make_plan(plan, variants, VARIANTS_MAX);
}

static const char *plan_plain(struct conv_plan *plan)
{
    static const struct onednn_variant variant = {dnnl_forward_training, dnnl_convolution_direct,
                                                  ONEDNN_PLAIN};
    return make_plan(plan, &variant, 1);
}

/* Training only: for inference the library wants the weights transformed beforehand. */
static const char *plan_winograd(struct conv_plan *plan)
{
    static const struct onednn_variant variant = {dnnl_forward_training, dnnl_convolution_winograd,
                                                  ONEDNN_ANY};
    return make_plan(plan, &variant, 1) ? "this oneDNN has no Winograd for this problem" : NULL;
}

/* What needs no library call to know, because the first call fixes the instruction set; plan_winograd asks. */
static const char *refuse_winograd(const struct conv_problem *p, enum conv_tensor output)
{
    const dnnl_version_t *version = dnnl_version();
    if (version->major * 100 + version->minor > 301)
        return "this oneDNN has no Winograd (removed in 3.2)";
    if (!isa_supported(ISA_AVX512))
        return "oneDNN's Winograd needs AVX-512";
    if (p->kh != 3 || p->kw != 3 || p->sh != 1 || p->sw != 1 || p->dh || p->dw || p->g != 1)
        return "3x3, stride 1, dense only";
    return refuse(p, output);
}

/* F(4,3), for the gradient F(3,4), with the points 0, +-5/8, +-3/2: products of transformed values amplify
 * rounding 4.78 times as much as the sums of a direct convolution, where 4.78 = (mean over output rows i of
 * sum over k of (A_ik |G_k| |B_k|)^2) / 3, rows A, G, B of the one-dimensional transforms. */
static double winograd_bound(const struct conv_problem *p, enum conv_tensor output)
{
    return 4.78 * conv_rounding_bound(p, output);
}

const struct conv_impl onednn_impl = {
    .name = "onednn",
    .family = "onednn",
    .summary = "fastest of oneDNN's own layouts and channels-last, by trial",
    .source = "oneDNN",
    .exact = true,
    .refuse = refuse,
    .plan = plan_best,
    .import = import,
    .export = export,
    .run = run,
    .destroy = destroy,
};

const struct conv_impl onednn_plain_impl = {
    .name = "onednn-plain",
    .family = "onednn",
    .summary = "oneDNN on plain NCHW and OIHW tensors",
    .source = "oneDNN",
    .exact = true,
    .refuse = refuse,
    .plan = plan_plain,
    .run = run,
    .destroy = destroy,
};

const struct conv_impl onednn_winograd_impl = {
    .name = "onednn-winograd",
    .family = "onednn",
    .summary = "oneDNN's Winograd F(4x4,3x3), where the library still has it",
    .source = "oneDNN",
    .refuse = refuse_winograd,
    .plan = plan_winograd,
    .import = import,
    .export = export,
    .run = run,
    .destroy = destroy,
    .error_bound = winograd_bound,
};
