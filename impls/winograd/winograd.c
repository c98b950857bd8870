/* Winograd's minimal filtering for 3 x 3 kernels: F(2x2, 3x3), F(4x4, 3x3) and F(6x6, 3x3), and for the gradient
 * F(3x3, 2x2), F(3x3, 4x4) and F(3x3, 6x6) on the same points. SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <stdio.h>
#include <stdlib.h>

static const char *refuse(const struct conv_problem *p, enum conv_tensor output)
{
    (void)output;
    if (p->kh != WINOGRAD_TAPS || p->kw != WINOGRAD_TAPS)
        return "3x3 kernels only";
    if (p->sh != 1 || p->sw != 1)
        return "stride 1 only";
    if (p->dh != 0 || p->dw != 0)
        return "no dilation";
    return NULL;
}

static struct winograd_axis make_axis(int large, int small, int pad, int pairs)
{
    struct winograd_axis a = {.large = large, .small = small, .pad = pad, .pairs = pairs};
    const int m = 2 * pairs;
    a.lo = pad > WINOGRAD_TAPS - 1 ? pad - (WINOGRAD_TAPS - 1) : 0;
    a.hi = large + pad < small ? large + pad : small;
    if (a.hi < a.lo)
        a.lo = a.hi = 0;
    a.tiles = (a.hi - a.lo + m - 1) / m;
    a.last_pairs = (a.hi - a.lo - (a.tiles - 1) * m + 1) / 2;
    a.whole = a.last_pairs < pairs ? a.tiles - 1 : a.tiles;
    return a;
}

/* Everything about a plan but its blocking. Backward slides over dst with the padding that turns its reads around. */
static struct winograd make_geometry(const struct conv_problem *p, enum conv_tensor output, enum isa isa,
                                     int pairs)
{
    const bool backward = output == CONV_SRC;
    const int turn = WINOGRAD_TAPS - 1, m = 2 * pairs;
    const int icb = layout_blocks(p->ic / p->g), ocb = layout_blocks(p->oc / p->g);
    struct winograd w = {
        .kernel = winograd_kernel(isa, pairs),
        .gemm = brgemm_kernel(isa),
        .transpose = transpose_kernel(isa),
        .m = m,
        .points = (m + 2) * (m + 2),
        .h = backward ? make_axis(p->oh, p->ih, turn - p->ph, pairs) : make_axis(p->ih, p->oh, p->ph, pairs),
        .w = backward ? make_axis(p->ow, p->iw, turn - p->pw, pairs) : make_axis(p->iw, p->ow, p->pw, pairs),
        .groups = p->g,
        .cb = backward ? ocb : icb,
        .kb = backward ? icb : ocb,
    };
    winograd_number(&w, p->mb);
    return w;
}

static const char *make_plan(struct conv_plan *plan, int pairs)
{
    struct winograd *w = malloc(sizeof *w);
    if (!w)
        return "out of memory";
    *w = make_geometry(&plan->problem, plan->output, plan->isa, pairs);
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = layout_bytes(&plan->problem, t);
    plan->dst_groups = plan->problem.g;
    plan->dst_block = LAYOUT_BLOCK;
    plan->state = w;
    (plan->output == CONV_WEI ? winograd_gradient_plan : winograd_image_plan)(plan);
    snprintf(plan->detail, sizeof plan->detail, "%s %d %s tiles", isa_name(plan->isa), w->tile_block,
             w->shared ? "shared" : "own");
    return NULL;
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    (plan->output == CONV_WEI ? winograd_gradient_run : winograd_image_run)(plan, tensor, scratch);
}

static void destroy(struct conv_plan *plan)
{
    free(plan->state);
}

#define WINOGRAD(m, what)                                                                                    \
    static const char *plan_f##m(struct conv_plan *plan)                                                     \
    {                                                                                                        \
        return make_plan(plan, m / 2);                                                                       \
    }                                                                                                        \
    static double bound_f##m(const struct conv_problem *p, enum conv_tensor output)                          \
    {                                                                                                        \
        const struct winograd w = make_geometry(p, output, ISA_GENERIC, m / 2);                              \
        return winograd_error_bound(&w, p, output);                                                          \
    }                                                                                                        \
    const struct conv_impl winograd_f##m##_impl = {                                                          \
        .name = "winograd-f" #m,                                                                             \
        .family = "winograd",                                                                                \
        .summary = "F(" #m "x" #m ",3x3), gradient F(3x3," #m "x" #m "): " what,                             \
        .source = "Lavin and Gray, CVPR 2016, arXiv 1509.09308",                                             \
        .exact = false,                                                                                      \
        .refuse = refuse,                                                                                    \
        .plan = plan_f##m,                                                                                   \
        .import = layout_import,                                                                             \
        .export = layout_export,                                                                             \
        .run = run,                                                                                          \
        .destroy = destroy,                                                                                  \
        .error_bound = bound_f##m,                                                                           \
    };

WINOGRAD(2, "2.25 times fewer multiplications, the accuracy of direct")
WINOGRAD(4, "4 times fewer multiplications")
WINOGRAD(6, "5.06 times fewer multiplications, the largest error")
