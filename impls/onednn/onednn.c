/* oneDNN as three implementations: the library at its best (the fastest of what it offers, by trial), in plain
 * NCHW, and its Winograd (x86 with AVX-512, up to version 3.1).
 * https://uxlfoundation.github.io/oneDNN/dev_guide_convolution.html
 * SPDX-License-Identifier: Apache-2.0 */
#include "onednn/choice.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state {
    struct onednn_library library;
    dnnl_primitive_t convolution;
    dnnl_primitive_t slope;                    /* dz = dy * phi'(y) of a backward pass, or NULL */
    dnnl_primitive_t reorder[CONV_TENSORS][2]; /* to the plain layout, from it; NULL where all is plain */
};

/* ---- instruction set ---- */

#ifdef TRIPASS_X86
/* The library's values have a bit for each step that they include. */
static bool includes(dnnl_cpu_isa_t isa, dnnl_cpu_isa_t step)
{
    return (isa & step) == step;
}
#endif

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
    enum isa level = includes(now, dnnl_cpu_isa_avx512_core) ? ISA_AVX512
                     : includes(now, dnnl_cpu_isa_avx2)      ? ISA_AVX2
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

/* ---- the contract ---- */

/* The library takes as many threads as OpenMP would give the caller: returns what that was. */
static int set_threads(int threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

static void destroy(struct conv_plan *plan)
{
    struct state *state = plan->state;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        for (int inward = 0; inward < 2; inward++)
            if (state->reorder[t][inward])
                dnnl_primitive_destroy(state->reorder[t][inward]);
    if (state->convolution)
        dnnl_primitive_destroy(state->convolution);
    if (state->slope)
        dnnl_primitive_destroy(state->slope);
    dnnl_stream_destroy(state->library.stream);
    dnnl_engine_destroy(state->library.engine);
    free(state);
}

static const char *create_reorders(const struct conv_plan *plan, struct state *state)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        struct onednn_reorder reorder = {&plan->problem, plan->output, t,
                                         onednn_descriptor(state->convolution)};
        for (int inward = 0; inward < 2; inward++) {
            state->reorder[t][inward] =
                onednn_create(onednn_reorder(state->library.engine, &reorder, inward));
            if (!state->reorder[t][inward])
                return "oneDNN cannot reorder a tensor to or from its own layout";
        }
    }
    return NULL;
}

/* What really runs: the library's name for it, and by which request. */
static void describe(struct conv_plan *plan, const struct onednn_choice *choice)
{
    static const char *const layouts[] = {"any", "nhwc", "nchw"};
    const char *prop = plan->output != CONV_DST                         ? ""
                       : choice->variant->prop == dnnl_forward_training ? " fwd_training"
                                                                        : " fwd_inference";
    snprintf(plan->detail, sizeof plan->detail, "%s%s %s", onednn_name(choice->primitive), prop,
             layouts[choice->variant->layout]);
    const size_t used = strlen(plan->detail);
    if (choice->untried)
        snprintf(plan->detail + used, sizeof plan->detail - used, ", or one of %d more", choice->untried);
}

static bool has_slope(const struct conv_plan *plan)
{
    return plan->output == CONV_SRC && plan->layer.activation != ACTIVATION_IDENTITY;
}

/* Where dz lies in the scratch memory: behind what the convolution needs. */
static size_t slope_offset(const struct state *state)
{
    return (onednn_bytes(state->convolution, DNNL_ARG_SCRATCHPAD) + 63) / 64 * 64;
}

static const char *make_plan(struct conv_plan *plan, const struct onednn_variant *variants, int n)
{
    const char *reason = cap_isa(plan->isa);
    if (reason)
        return reason;
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return "out of memory";
    dnnl_engine_create(&state->library.engine, dnnl_cpu, 0);
    dnnl_stream_create(&state->library.stream, state->library.engine, dnnl_stream_default_flags);
    plan->state = state;

    int before = set_threads(plan->threads);
    struct onednn_choice choice;
    reason = onednn_choose(plan, &state->library, variants, n, &choice);
    if (!reason) {
        state->convolution = choice.primitive;
        describe(plan, &choice);
    }
    if (!reason && variants->layout != ONEDNN_PLAIN)
        reason = create_reorders(plan, state);
    if (!reason && has_slope(plan)) {
        state->slope = onednn_create(onednn_slope(state->library.engine, plan->layer.activation,
                                                  onednn_descriptor(state->convolution)));
        if (!state->slope)
            reason = "this oneDNN has no backward pass of the activation";
    }
    set_threads(before);
    if (reason) {
        destroy(plan);
        return reason;
    }
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = onednn_bytes(state->convolution, onednn_arg(plan->output, t));
    plan->scratch_bytes = slope_offset(state) + (state->slope ? plan->bytes[CONV_DST] : 0);
    return NULL;
}

static void reorder(const struct conv_plan *plan, enum conv_tensor tensor, bool inward, const float *from,
                    float *to)
{
    const struct state *state = plan->state;
    const struct onednn_argument args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    int before = set_threads(plan->threads);
    onednn_execute(&state->library, state->reorder[tensor][inward], args, 2);
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

static void run_layer(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *beside,
                      void *scratch)
{
    const struct state *state = plan->state;
    float *inputs[CONV_TENSORS] = {tensor[CONV_SRC], tensor[CONV_WEI], tensor[CONV_DST]};
    int before = set_threads(plan->threads);
    if (state->slope) {
        inputs[CONV_DST] = (float *)(void *)((char *)scratch + slope_offset(state));
        const struct onednn_argument args[] = {{DNNL_ARG_DST, beside},
                                               {DNNL_ARG_DIFF_DST, tensor[CONV_DST]},
                                               {DNNL_ARG_DIFF_SRC, inputs[CONV_DST]}};
        onednn_execute(&state->library, state->slope, args, 3);
    }
    onednn_convolve(&state->library, state->convolution, plan, inputs, beside, scratch);
    set_threads(before);
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    run_layer(plan, tensor, NULL, scratch);
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
    static const struct onednn_variant variants[ONEDNN_VARIANTS_MAX] = {
        {dnnl_forward_training, dnnl_convolution_direct, ONEDNN_ANY},
        {dnnl_forward_inference, dnnl_convolution_direct, ONEDNN_ANY},
        {dnnl_forward_training, dnnl_convolution_direct, ONEDNN_NHWC},
        {dnnl_forward_inference, dnnl_convolution_direct, ONEDNN_NHWC},
    };
    return make_plan(plan, variants, ONEDNN_VARIANTS_MAX);
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

/* The CPU itself, as the library asks it: emulated kernels of ours do not help. */
static bool cpu_has_avx512(void)
{
#ifdef TRIPASS_X86
    return __builtin_cpu_supports("avx512f");
#else
    return false;
#endif
}

/* What needs no library call to know, because the first call fixes the instruction set; plan_winograd asks. The
 * library's own conditions are those of version 2.6's jit_avx512_core_f32_wino_conv_4x3 kernels. */
static const char *refuse_winograd(const struct conv_problem *p, enum conv_tensor output)
{
    const dnnl_version_t *version = dnnl_version();
    if (version->major * 100 + version->minor > 301)
        return "this oneDNN has no Winograd (removed in 3.2)";
    if (!cpu_has_avx512())
        return "oneDNN's Winograd needs AVX-512";
    if (p->kh != 3 || p->kw != 3 || p->sh != 1 || p->sw != 1 || p->dh || p->dw || p->g != 1)
        return "3x3, stride 1, dense only";
    if (p->ph > 1 || p->pw > 1 || onednn_padding_after(p, 0) > 1 || onednn_padding_after(p, 1) > 1)
        return "oneDNN's Winograd takes at most 1 pixel of padding a side";
    /* It plans such a backward pass, and errs by as much as the values are (2.6.3; ih 12, oh 11, ph 1 is an example). */
    if (output == CONV_SRC && (onednn_padding_after(p, 0) != p->ph || onednn_padding_after(p, 1) != p->pw))
        return "oneDNN's Winograd is wrong backward where the padding differs from side to side";
    return refuse(p, output);
}

/* The library's F(4,3) and F(3,4) are on the points of winograd-f4: 0, +-5/8, +-3/2 (read in version 2.6's kernels). */
static double winograd_bound(const struct conv_problem *p, enum conv_tensor output)
{
    return conv_impl_find("winograd-f4")->error_bound(p, output);
}

static double winograd_tap_bound(const struct conv_problem *p, enum conv_tensor output)
{
    return conv_impl_find("winograd-f4")->tap_bound(p, output);
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
    .run_layer = run_layer,
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
    .run_layer = run_layer,
    .destroy = destroy,
};

const struct conv_impl onednn_winograd_impl = {
    .name = "onednn-winograd",
    .family = "onednn",
    .summary = "oneDNN's Winograd F(4x4,3x3), where the library still has it",
    .source = "oneDNN",
    .saving = 4,
    .refuse = refuse_winograd,
    .plan = plan_winograd,
    .import = import,
    .export = export,
    .run = run,
    .run_layer = run_layer,
    .destroy = destroy,
    .error_bound = winograd_bound,
    .tap_bound = winograd_tap_bound,
};
