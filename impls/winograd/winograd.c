/* Winograd's minimal filtering for 3 x 3 kernels: F(2x2, 3x3), F(4x4, 3x3) and F(6x6, 3x3), and for the gradient
 * F(3x3, 2x2), F(3x3, 4x4) and F(3x3, 6x6) on the same points. Stride 2 in phases, on the same points as well. SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <stdio.h>
#include <stdlib.h>

static const char *refuse(const struct conv_problem *p, enum conv_tensor output)
{
    (void)output;
    if (p->kh != WINOGRAD_TAPS || p->kw != WINOGRAD_TAPS)
        return "3x3 kernels only";
    if (p->sh != p->sw || p->sh > 2)
        return "stride 1 or 2, the same in height and width";
    if (p->dh != 0 || p->dw != 0)
        return "no dilation";
    return NULL;
}

/* src and dst in one direction, and the padding before src. */
struct extent {
    int in, out, pad;
};

static struct winograd_lattice make_lattice(int size, int first, int step)
{
    return (struct winograd_lattice){size, first, step, size > first ? (size - first + step - 1) / step : 0};
}

/* Backward slides over dst with the padding that turns its reads around. */
static struct winograd_axis make_axis(struct extent e, bool backward, int pairs)
{
    const int turn = WINOGRAD_TAPS - 1, m = 2 * pairs;
    struct winograd_axis a = {.large = make_lattice(backward ? e.out : e.in, 0, 1),
                              .small = make_lattice(backward ? e.in : e.out, 0, 1),
                              .pad = backward ? turn - e.pad : e.pad,
                              .taps = WINOGRAD_TAPS,
                              .pairs = pairs};
    a.lo = a.pad > turn ? a.pad - turn : 0;
    a.hi = a.large.count + a.pad < a.small.count ? a.large.count + a.pad : a.small.count;
    if (a.hi < a.lo)
        a.lo = a.hi = 0;
    a.tiles = (a.hi - a.lo + m - 1) / m;
    a.last_pairs = (a.hi - a.lo - (a.tiles - 1) * m + 1) / 2;
    a.whole = a.last_pairs < pairs ? a.tiles - 1 : a.tiles;
    return a;
}

/* Stride 2: pixel x of src meets pixel i of dst by tap k = x + pad - 2 i. Of tap and tap + 2, or tap alone, x is on the
 * lattice of the remainder r of tap - pad by 2; with x = 2 t + r and shift = (pad - tap + r) / 2 that is
 * t = i - shift by the first tap, t + 1 by the other one. */
static struct winograd_axis make_strided_axis(struct extent e, bool backward, int pairs, int tap)
{
    const int r = (e.pad - tap) & 1, shift = (e.pad - tap + r) / 2, taps = tap == 0 ? 2 : 1,
              m = 2 * pairs + 1;
    const struct winograd_lattice src = make_lattice(e.in, r, 2), dst = make_lattice(e.out, 0, 1);
    const int most = backward ? (e.in + 1) / 2 : e.out, tiles = (most + m - 1) / m;
    return (struct winograd_axis){.large = backward ? dst : src,
                                  .small = backward ? src : dst,
                                  .pad = backward ? taps - 1 - shift : shift,
                                  .tap = tap,
                                  .taps = taps,
                                  .hi = backward ? src.count : dst.count,
                                  .whole = tiles,
                                  .tiles = tiles,
                                  .pairs = pairs,
                                  .last_pairs = pairs};
}

/* Everything about a plan but its blocking. */
static struct winograd make_geometry(const struct conv_problem *p, enum conv_tensor output, enum isa isa,
                                     int pairs)
{
    const bool backward = output == CONV_SRC;
    const int icb = layout_blocks(p->ic / p->g), ocb = layout_blocks(p->oc / p->g);
    const struct extent h = {p->ih, p->oh, p->ph}, v = {p->iw, p->ow, p->pw};
    struct winograd w = {
        .kernel = winograd_kernel(isa, p->sh, pairs),
        .gemm = brgemm_kernel(isa),
        .transpose = transpose_kernel(isa),
        .stride = p->sh,
        .m = 2 * pairs + p->sh - 1,
        .n = 2 * pairs + 2,
        .points = (2 * pairs + 2) * (2 * pairs + 2),
        .phases = p->sh * p->sh,
        .summed = output == CONV_DST ? p->sh * p->sh : 1,
        .groups = p->g,
        .cb = backward ? ocb : icb,
        .kb = backward ? icb : ocb,
    };
    for (int tap = 0; tap < p->sh; tap++) {
        w.h[tap] = p->sh == 1 ? make_axis(h, backward, pairs) : make_strided_axis(h, backward, pairs, tap);
        w.w[tap] = p->sh == 1 ? make_axis(v, backward, pairs) : make_strided_axis(v, backward, pairs, tap);
    }
    for (int f = 0; f < w.phases; f++)
        w.values[f + 1] =
            w.values[f] + (w.h[f / p->sh].taps == 1 ? 1 : w.n) * (w.w[f % p->sh].taps == 1 ? 1 : w.n);
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

/* struct conv_impl's `exact`. F(2, 3) has the points 0, +-1 and infinity and divides by 2 alone, so that all stages are
 * multiples of 1/2 in each direction, 1/4. How large they become, in each direction: the sum over the points of the |row
 * sums| of the three matrices. It is 8 for 3 products of a fwd or bwd output (stride 2: 8 + 4, of both phases), and at
 * most 4 times the products of a gradient. (12/3)^2 = 4^2 = 16, times 4: 64. F(4, 3) and F(6, 3) divide by 3 and more. */
enum { EXACT_F2 = 64, EXACT_F4 = 0, EXACT_F6 = 0 };

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
    static double tap_bound_f##m(const struct conv_problem *p, enum conv_tensor output)                      \
    {                                                                                                        \
        const struct winograd w = make_geometry(p, output, ISA_GENERIC, m / 2);                              \
        return winograd_tap_bound(&w, output);                                                               \
    }                                                                                                        \
    const struct conv_impl winograd_f##m##_impl = {                                                          \
        .name = "winograd-f" #m,                                                                             \
        .family = "winograd",                                                                                \
        .summary = "F(" #m "x" #m ",3x3), gradient F(3x3," #m "x" #m "): " what,                             \
        .source = "Lavin and Gray, CVPR 2016, arXiv 1509.09308",                                             \
        .saving = 9.0 * m * m / ((m + 2) * (m + 2)),                                                         \
        .exact = EXACT_F##m,                                                                                 \
        .refuse = refuse,                                                                                    \
        .plan = plan_f##m,                                                                                   \
        .import = layout_import,                                                                             \
        .export = layout_export,                                                                             \
        .run = run,                                                                                          \
        .destroy = destroy,                                                                                  \
        .error_bound = bound_f##m,                                                                           \
        .tap_bound = tap_bound_f##m,                                                                         \
    };

WINOGRAD(2, "2.25 times fewer multiplications, the accuracy of direct")
WINOGRAD(4, "4 times fewer multiplications")
WINOGRAD(6, "5.06 times fewer multiplications, the largest error")
