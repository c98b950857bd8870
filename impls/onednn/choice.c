/* See choice.h. SPDX-License-Identifier: Apache-2.0 */
#include "onednn/choice.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

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
static struct candidate *race(const struct conv_plan *plan, const struct onednn_library *library,
                              struct candidate *list, int n)
{
    enum { SCRATCH = CONV_TENSORS, BIAS, BUFFERS };
    const int args[BUFFERS] = {onednn_arg(plan->output, CONV_SRC), onednn_arg(plan->output, CONV_WEI),
                               onednn_arg(plan->output, CONV_DST), DNNL_ARG_SCRATCHPAD,
                               onednn_bias_arg(plan)};
    float *memory[BUFFERS];
    bool have = true;
    for (int t = 0; t < BUFFERS; t++) {
        size_t bytes = 0;
        for (int i = 0; args[t] && i < n; i++) {
            size_t need = onednn_bytes(list[i].primitive, args[t]);
            bytes = need > bytes ? need : bytes;
        }
        memory[t] = aligned_alloc(64, (bytes + 64) / 64 * 64);
        have = have && memory[t];
        if (memory[t])
            memset(memory[t], 0, bytes);
    }
    struct candidate *fastest = list;
    for (int round = 0; have && round < 30; round++)
        for (struct candidate *c = list; c < list + n; c++) {
            if (c->spent > 0.1 && (round >= 3 || c->best > 4 * fastest->best))
                continue;
            double start = omp_get_wtime();
            onednn_convolve(library, c->primitive, plan, memory, memory[BIAS], memory[SCRATCH]);
            double time = omp_get_wtime() - start;
            c->spent += time;
            c->best = round == 0 || time < c->best ? time : c->best;
            fastest = c->best < fastest->best ? c : fastest;
        }
    for (int t = 0; t < BUFFERS; t++)
        free(memory[t]);
    return have ? fastest : NULL;
}

/* Two variants often lead to one and the same implementation and layouts. */
static bool same_primitive(dnnl_primitive_t a, dnnl_primitive_t b, enum conv_tensor output)
{
    bool same = !strcmp(onednn_name(a), onednn_name(b));
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        int arg = onednn_arg(output, t);
        same = same && dnnl_memory_desc_equal(
                           dnnl_primitive_desc_query_md(onednn_descriptor(a), dnnl_query_exec_arg_md, arg),
                           dnnl_primitive_desc_query_md(onednn_descriptor(b), dnnl_query_exec_arg_md, arg));
    }
    return same;
}

/* Adds what the library has for the variant, unless it is there already. */
static int add_candidate(const struct conv_plan *plan, const struct onednn_library *library,
                         struct candidate *list, int n, const struct onednn_variant *variant)
{
    dnnl_primitive_t primitive = onednn_create(onednn_convolution(library->engine, plan, variant));
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

/* The latest race: whoever checks a plan makes others of the same problem, and a race of long calls takes seconds. Of
 * this thread alone, so that plans may be made side by side. */
static _Thread_local struct {
    struct conv_plan plan;
    const struct onednn_variant *variants, *winner;
} latest;

static bool latest_is_of(const struct conv_plan *plan)
{
    return !memcmp(&latest.plan.problem, &plan->problem, sizeof plan->problem) &&
           latest.plan.output == plan->output && latest.plan.threads == plan->threads &&
           latest.plan.layer.bias == plan->layer.bias &&
           latest.plan.layer.activation == plan->layer.activation;
}

const char *onednn_choose(const struct conv_plan *plan, const struct onednn_library *library,
                          const struct onednn_variant *variants, int n, struct onednn_choice *choice)
{
    struct candidate list[ONEDNN_VARIANTS_MAX];
    int count = 0;
    if (latest.variants == variants && latest_is_of(plan)) {
        variants = latest.winner;
        n = 1;
    }
    for (const struct onednn_variant *v = variants; v < variants + n; v++)
        if ((plan->output == CONV_DST || v->prop == dnnl_forward_training) &&
            !known_wrong(&plan->problem, plan->output, v))
            count = add_candidate(plan, library, list, count, v);
    if (count == 0)
        return "this oneDNN has no such implementation for this problem";

    struct candidate *winner = count == 1 || plan->estimate ? list : race(plan, library, list, count);
    for (struct candidate *c = list; c < list + count; c++)
        if (c != winner)
            dnnl_primitive_destroy(c->primitive);
    if (!winner)
        return "out of memory for oneDNN's trials";

    *choice = (struct onednn_choice){winner->variant, winner->primitive, plan->estimate ? count - 1 : 0};
    if (n > 1 && !plan->estimate) {
        latest.plan = *plan;
        latest.variants = variants;
        latest.winner = winner->variant;
    }
    return NULL;
}
