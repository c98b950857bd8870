/* A plan with its memory. SPDX-License-Identifier: Apache-2.0 */
#include "pass.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>

float *pass_tensor(size_t elements)
{
    size_t bytes = (elements * sizeof(float) + 63) / 64 * 64;
    float *tensor = aligned_alloc(64, bytes);
    if (tensor)
        memset(tensor, 0, bytes);
    return tensor;
}

const char *pass_plan(struct pass *pass, const struct conv_impl *impl, const struct conv_plan *wanted)
{
    const int threads = wanted->threads;
    *pass = (struct pass){.impl = impl, .plan = *wanted};
    const char *reason = conv_plan_make(impl, &pass->plan);
    if (reason) {
        pass->impl = NULL;
        return reason;
    }
    bool got = buffer_alloc(&pass->scratch, pass->plan.scratch_bytes, CONV_TENSORS, POISON_SCRATCH, threads);
    for (enum conv_tensor t = 0; t < CONV_TENSORS && impl->import; t++)
        got = got && buffer_alloc(&pass->native[t], pass->plan.bytes[t], (int)t, POISON_NAN, threads);
    if (got)
        return NULL;
    pass_close(pass);
    return "out of memory";
}

const char *pass_open(struct pass *pass, const struct conv_impl *impl, const struct conv_problem *problem,
                      enum conv_tensor output, int threads)
{
    const struct conv_plan wanted = {
        .problem = *problem, .output = output, .threads = threads, .isa = isa_best()};
    return pass_plan(pass, impl, &wanted);
}

void pass_close(struct pass *pass)
{
    if (!pass->impl)
        return;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        buffer_free(&pass->native[t]);
    buffer_free(&pass->scratch);
    conv_plan_destroy(pass->impl, &pass->plan);
    pass->impl = NULL;
}

void pass_run_layer(struct pass *pass, float *const tensor[CONV_TENSORS], float *bias)
{
    const struct conv_plan *plan = &pass->plan;
    float *native[CONV_TENSORS];
    const double begin = clock_now();
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        native[t] = pass->impl->import ? pass->native[t].data : tensor[t];
        if (pass->impl->import && t != plan->output)
            pass->impl->import(plan, t, tensor[t], native[t]);
    }
    const double imported = clock_now();
    conv_run(pass->impl, plan, native, bias, pass->scratch.data);
    const double ran = clock_now();
    if (pass->impl->export)
        pass->impl->export(plan, plan->output, native[plan->output], tensor[plan->output]);
    pass->run_s += ran - imported;
    pass->convert_s += imported - begin + clock_now() - ran;
}

void pass_run(struct pass *pass, float *const tensor[CONV_TENSORS])
{
    pass_run_layer(pass, tensor, NULL);
}
