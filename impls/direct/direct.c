/* Direct convolution: the seven loops, blocked for registers and caches around one register kernel.
 *
 * All passes read their tensors in place or through small copied strips with the padding written out, and reduce
 * by segments of 16 channels or rows of pixels; no pass builds a matrix. Georganas et al., "Anatomy of
 * High-Performance Deep Learning Convolutions on SIMD Architectures", SC 2018 (arXiv 1808.05567).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"

#include <stdlib.h>

struct direct {
    struct native native;
    const struct engine *engine;
    void *state;
};

static const char *plan(struct conv_plan *plan)
{
    static const struct engine *const engines[CONV_TENSORS] = {&gather_engine, &gradient_engine,
                                                               &gather_engine};
    struct direct *d = malloc(sizeof *d);
    if (!d)
        return "out of memory";
    *d = (struct direct){.native = native_make(&plan->problem), .engine = engines[plan->output]};
    if (d->native.depthwise)
        d->engine = plan->output == CONV_WEI ? &depthwise_gradient_engine : &depthwise_engine;
    const char *reason = d->engine->plan(plan, &d->native, &d->state);
    if (reason) {
        free(d);
        return reason;
    }
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = native_bytes(&d->native, t);
    plan->dst_groups = d->native.depthwise ? 1 : d->native.problem.g;
    plan->dst_block = LAYOUT_BLOCK;
    plan->state = d;
    return NULL;
}

static void import(const struct conv_plan *plan, enum conv_tensor tensor, const float *plain, float *blocked)
{
    const struct direct *d = plan->state;
    native_convert(plan, &d->native, tensor, (float *)plain, blocked, true);
}

static void export(const struct conv_plan *plan, enum conv_tensor tensor, const float *blocked, float *plain)
{
    const struct direct *d = plan->state;
    native_convert(plan, &d->native, tensor, plain, (float *)blocked, false);
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct direct *d = plan->state;
    d->engine->run(d->state, tensor, scratch);
}

static void destroy(struct conv_plan *plan)
{
    struct direct *d = plan->state;
    d->engine->destroy(d->state);
    free(d);
}

const struct conv_impl direct_impl = {
    .name = "direct",
    .family = "direct",
    .summary = "the loops of the formula, blocked for registers and caches",
    .source = "Georganas et al., SC 2018",
    .exact = true,
    .plan = plan,
    .import = import,
    .export = export,
    .run = run,
    .destroy = destroy,
};
