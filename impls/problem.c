/* What follows from a problem's sizes alone. SPDX-License-Identifier: Apache-2.0 */
#include "conv.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Every count must fit comfortably below SIZE_MAX and PTRDIFF_MAX bytes, padded layouts included. */
#define ELEMENTS_MAX ((uint64_t)1 << 58)

static bool product_overflows(const int *factors, int n)
{
    uint64_t product = 1;
    for (int i = 0; i < n; i++)
        if (__builtin_mul_overflow(product, (uint64_t)factors[i], &product) || product > ELEMENTS_MAX)
            return true;
    return false;
}

const char *conv_problem_unsound(const struct conv_problem *p)
{
    const int positive[] = {p->g,  p->mb, p->ic, p->ih, p->iw, p->oc,
                            p->oh, p->ow, p->kh, p->kw, p->sh, p->sw};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i] < 1)
            return "a size is zero or negative";
    if (p->ph < 0 || p->pw < 0 || p->dh < 0 || p->dw < 0)
        return "a padding or dilation is negative";
    if (p->ic % p->g || p->oc % p->g)
        return "channels are not divisible by groups";
    /* Coordinates of a tap must fit an int. */
    int64_t reach_h = (int64_t)p->oh * p->sh + (int64_t)p->kh * (p->dh + 1LL) + p->ph + p->ih;
    int64_t reach_w = (int64_t)p->ow * p->sw + (int64_t)p->kw * (p->dw + 1LL) + p->pw + p->iw;
    if (reach_h > INT_MAX || reach_w > INT_MAX)
        return "the image with its padding is too large";
    if (product_overflows((int[]){p->mb, p->ic, p->ih, p->iw}, 4) ||
        product_overflows((int[]){p->oc, p->ic / p->g, p->kh, p->kw}, 4) ||
        product_overflows((int[]){p->mb, p->oc, p->oh, p->ow}, 4))
        return "a tensor is too large to count";
    return NULL;
}

void conv_extents(const struct conv_problem *p, enum conv_tensor tensor, int extent[4])
{
    const int extents[CONV_TENSORS][4] = {
        {p->mb, p->ic, p->ih, p->iw}, {p->oc, p->ic / p->g, p->kh, p->kw}, {p->mb, p->oc, p->oh, p->ow}};
    memcpy(extent, extents[tensor], sizeof extents[tensor]);
}

size_t conv_elements(const struct conv_problem *p, enum conv_tensor tensor)
{
    int extent[4];
    conv_extents(p, tensor, extent);
    return (size_t)extent[0] * extent[1] * extent[2] * extent[3];
}

double conv_flop_nominal(const struct conv_problem *p)
{
    return 2.0 * p->mb * p->oc * ((double)p->ic / p->g) * p->oh * p->ow * p->kh * p->kw;
}

/* Pairs of (output coordinate, tap) along one axis that read inside the image. */
static double valid_pairs(int in, int out, int kernel, int stride, int pad, int dilation)
{
    double pairs = 0;
    for (int k = 0; k < kernel; k++) {
        /* first and last output coordinate o with 0 <= o*stride + offset < in */
        int offset = k * (dilation + 1) - pad;
        int first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
        int last = in - 1 - offset < 0 ? -1 : (in - 1 - offset) / stride;
        if (last > out - 1)
            last = out - 1;
        if (last >= first)
            pairs += last - first + 1;
    }
    return pairs;
}

double conv_flop_valid(const struct conv_problem *p)
{
    return 2.0 * p->mb * p->oc * ((double)p->ic / p->g) *
           valid_pairs(p->ih, p->oh, p->kh, p->sh, p->ph, p->dh) *
           valid_pairs(p->iw, p->ow, p->kw, p->sw, p->pw, p->dw);
}

double conv_reduction(const struct conv_problem *p, enum conv_tensor output)
{
    switch (output) {
    case CONV_SRC: return (double)(p->oc / p->g) * p->kh * p->kw;
    case CONV_WEI: return (double)p->mb * p->oh * p->ow;
    default: return (double)(p->ic / p->g) * p->kh * p->kw;
    }
}

/* Along one axis: the most taps behind one row of the output, by the definition's ih = oh * stride - pad + k * (d + 1). */
static int most_taps(int in, int out, int kernel, int stride, int pad, int dilation, enum conv_tensor output)
{
    int most = 0;
    for (int row = 0; row < (output == CONV_SRC ? in : output == CONV_DST ? out : kernel); row++) {
        int taps = 0;
        for (int i = 0; i < (output == CONV_WEI ? out : kernel); i++) {
            const int k = output == CONV_WEI ? row : i, o = output == CONV_WEI ? i : row;
            const int read = o * stride - pad + k * (dilation + 1), /* by pixel o, */
                reader = row + pad - k * (dilation + 1);            /* times stride, of pixel `row` */
            taps += output == CONV_SRC ? reader >= 0 && reader % stride == 0 && reader / stride < out
                                       : read >= 0 && read < in;
        }
        most = taps > most ? taps : most;
    }
    return most;
}

double conv_full_sum(const struct conv_problem *p, enum conv_tensor output)
{
    const double channels = output == CONV_WEI ? p->mb : (double)(output == CONV_SRC ? p->oc : p->ic) / p->g;
    const double products = channels * most_taps(p->ih, p->oh, p->kh, p->sh, p->ph, p->dh, output) *
                            most_taps(p->iw, p->ow, p->kw, p->sw, p->pw, p->dw, output);
    return (products > 0 ? products : 1) / 4;
}

const char *conv_pass_name(enum conv_tensor output)
{
    static const char *const names[CONV_TENSORS] = {"bwd", "upd", "fwd"};
    return names[output];
}

double conv_rounding_bound(const struct conv_problem *p, enum conv_tensor output)
{
    const double u = 0x1p-24, lambda = 6;
    return (lambda * sqrt(conv_reduction(p, output)) + 2) * u;
}
