/* The definition: the loops of the formula, double accumulators. Every other implementation is judged by
 * these three functions, so they are written to be read. SPDX-License-Identifier: Apache-2.0 */
#include "conv.h"

#include <math.h>
#include <string.h>

static void add(struct conv_element *sum, float a, float b)
{
    double product = (double)a * (double)b; /* exact: 24 + 24 bits fit in 53 */
    sum->value += product;
    sum->magnitude += fabs(product);
}

/* dst(s,j) = sum_i src(s,i) x wei(j,i) */
static struct conv_element dst_element(const struct conv_problem *p, const float *const tensor[CONV_TENSORS],
                                       int mb, int oc, int oh, int ow)
{
    const int icg = p->ic / p->g, ocg = p->oc / p->g;
    struct conv_element sum = {0, 0};
    for (int i = 0; i < icg; i++)
        for (int kh = 0; kh < p->kh; kh++)
            for (int kw = 0; kw < p->kw; kw++) {
                int ih = oh * p->sh - p->ph + kh * (p->dh + 1), iw = ow * p->sw - p->pw + kw * (p->dw + 1);
                if (ih < 0 || ih >= p->ih || iw < 0 || iw >= p->iw)
                    continue;
                size_t ic = (size_t)(oc / ocg) * icg + i;
                add(&sum, tensor[CONV_SRC][(((size_t)mb * p->ic + ic) * p->ih + ih) * p->iw + iw],
                    tensor[CONV_WEI][(((size_t)oc * icg + i) * p->kh + kh) * p->kw + kw]);
            }
    return sum;
}

/* src(s,i) = sum_j dst(s,j) x rot180 wei(j,i): the taps (oh, kh) that read row ih */
static struct conv_element src_element(const struct conv_problem *p, const float *const tensor[CONV_TENSORS],
                                       int mb, int ic, int ih, int iw)
{
    const int icg = p->ic / p->g, ocg = p->oc / p->g;
    struct conv_element sum = {0, 0};
    for (int j = 0; j < ocg; j++)
        for (int kh = 0; kh < p->kh; kh++)
            for (int kw = 0; kw < p->kw; kw++) {
                int h = ih + p->ph - kh * (p->dh + 1), w = iw + p->pw - kw * (p->dw + 1);
                if (h < 0 || h % p->sh || h / p->sh >= p->oh || w < 0 || w % p->sw || w / p->sw >= p->ow)
                    continue;
                size_t oc = (size_t)(ic / icg) * ocg + j;
                add(&sum,
                    tensor[CONV_DST][(((size_t)mb * p->oc + oc) * p->oh + h / p->sh) * p->ow + w / p->sw],
                    tensor[CONV_WEI][((oc * icg + ic % icg) * p->kh + kh) * p->kw + kw]);
            }
    return sum;
}

/* wei(j,i) = sum_s dst(s,j) x src(s,i) */
static struct conv_element wei_element(const struct conv_problem *p, const float *const tensor[CONV_TENSORS],
                                       int oc, int i, int kh, int kw)
{
    const int icg = p->ic / p->g, ocg = p->oc / p->g;
    const size_t ic = (size_t)(oc / ocg) * icg + i;
    struct conv_element sum = {0, 0};
    for (int mb = 0; mb < p->mb; mb++)
        for (int oh = 0; oh < p->oh; oh++)
            for (int ow = 0; ow < p->ow; ow++) {
                int ih = oh * p->sh - p->ph + kh * (p->dh + 1), iw = ow * p->sw - p->pw + kw * (p->dw + 1);
                if (ih < 0 || ih >= p->ih || iw < 0 || iw >= p->iw)
                    continue;
                add(&sum, tensor[CONV_SRC][(((size_t)mb * p->ic + ic) * p->ih + ih) * p->iw + iw],
                    tensor[CONV_DST][(((size_t)mb * p->oc + oc) * p->oh + oh) * p->ow + ow]);
            }
    return sum;
}

struct conv_element reference_element(const struct conv_problem *p, enum conv_tensor output,
                                      const float *const tensor[CONV_TENSORS], size_t index)
{
    typedef struct conv_element element_fn(const struct conv_problem *, const float *const[CONV_TENSORS], int,
                                           int, int, int);
    static element_fn *const element[CONV_TENSORS] = {src_element, wei_element, dst_element};
    int extent[4], at[4];
    conv_extents(p, output, extent);
    for (int axis = 3; axis >= 0; axis--) {
        at[axis] = (int)(index % (size_t)extent[axis]);
        index /= (size_t)extent[axis];
    }
    return element[output](p, tensor, at[0], at[1], at[2], at[3]);
}

static const char *plan(struct conv_plan *plan)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    strcpy(plan->detail, "double");
    return NULL;
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    (void)scratch;
    const size_t elements = conv_elements(&plan->problem, plan->output);
    const float *const inputs[CONV_TENSORS] = {tensor[0], tensor[1], tensor[2]};
#pragma omp parallel for num_threads(plan->threads)
    for (size_t i = 0; i < elements; i++)
        tensor[plan->output][i] = (float)reference_element(&plan->problem, plan->output, inputs, i).value;
}

const struct conv_impl reference_impl = {
    .name = "reference",
    .family = "reference",
    .summary = "the definition, one output at a time, double accumulators",
    .source = "the formula itself",
    .exact = true,
    .plan = plan,
    .run = run,
};
