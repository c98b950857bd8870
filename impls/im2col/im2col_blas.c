/* im2col as deep-learning frameworks made it known (Jia, "Caffe", 2014): Q of one image and group is built in
 * memory and multiplied by BLAS. Images follow one another; the threads are inside the building and inside BLAS.
 *
 *     fwd   D = W Q        bwd   Q = W^T D, then col2im        upd   W = sum over images D Q^T
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"
#include "kernels/blas.h"
#include "phase.h"
#include "size.h"

#include <stdio.h>
#include <string.h>

/* Of one group. */
struct sizes {
    size_t icg, ocg, k;    /* channels; rows of Q: icg * kh * kw */
    size_t plane, columns; /* pixels of src, and of dst: the columns of Q */
};

static struct sizes sizes_of(const struct conv_problem *p)
{
    const size_t icg = p->ic / p->g;
    return (struct sizes){icg, (size_t)p->oc / p->g, icg * p->kh * p->kw, (size_t)p->ih * p->iw,
                          (size_t)p->oh * p->ow};
}

static const char *refuse(const struct conv_problem *p, enum conv_tensor output)
{
    (void)output;
    const struct sizes s = sizes_of(p);
    return blas_refuses(s.k > s.columns ? s.k : s.columns);
}

static const char *plan(struct conv_plan *plan)
{
    const struct conv_problem *p = &plan->problem;
    const struct sizes s = sizes_of(p);
    const size_t q = columns_are_image(p) ? 0 : size_multiply(s.k, s.columns);
    plan->scratch_bytes = size_multiply(q, sizeof(float));
    if (plan->scratch_bytes == SIZE_MAX)
        return "its matrix is too large to count";
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(p, t) * sizeof(float);
    snprintf(plan->detail, sizeof plan->detail, "OpenBLAS sgemm, Q %zu x %zu%s", s.k, s.columns,
             q ? "" : " is the image");
    return NULL;
}

/* im2col (src to q) or col2im (q to src) of channels `channel` .. + icg of an image, which fill all rows of q. */
static void move(const struct conv_plan *plan, struct columns_block block, float *src, float *q, bool gather)
{
    const struct conv_problem *p = &plan->problem;
    const struct columns_kernel *kernel = columns_kernel(plan->isa);
    const size_t plane = (size_t)p->ih * p->iw, rows = (size_t)p->kh * p->kw * block.width;
    float *image = src + (block.pixel / block.pixels * p->ic + block.channel) * plane;
    const size_t channels = block.channels, threads = plan->threads;
#pragma omp parallel for num_threads(plan->threads)
    for (size_t i = 0; i < threads; i++) {
        const size_t begin = channels * i / threads, end = channels * (i + 1) / threads;
        struct columns_block mine = block;
        mine.channel += begin;
        mine.channels = end - begin;
        if (gather) {
            kernel->gather(p, &mine, src, q + begin * rows);
        } else {
            memset(image + begin * plane, 0, mine.channels * plane * sizeof(float));
            kernel->scatter(p, &mine, q + begin * rows, src);
        }
    }
}

static void run_image(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch,
                      size_t mb, size_t g)
{
    const struct conv_problem *p = &plan->problem;
    const struct sizes s = sizes_of(p);
    const bool copy = !columns_are_image(p);
    const struct columns_block block = {g * s.icg, s.icg, mb * s.columns, s.columns, s.columns};
    float *q = copy ? scratch : tensor[CONV_SRC] + (mb * p->ic + g * s.icg) * s.plane;
    float *wei = tensor[CONV_WEI] + g * s.ocg * s.k;
    float *dst = tensor[CONV_DST] + (mb * p->oc + g * s.ocg) * s.columns;
    if (copy && plan->output != CONV_SRC) {
        move(plan, block, tensor[CONV_SRC], q, true);
        phase_mark(PHASE_INPUT);
    }
    const struct blas_matrix q_matrix = {q, s.columns, plan->output == CONV_WEI};
    const struct blas_matrix w_matrix = {wei, s.k, plan->output == CONV_SRC},
                             d_matrix = {dst, s.columns, false};
    const struct blas_product products[CONV_TENSORS] = {
        [CONV_DST] = {s.ocg, s.columns, s.k, w_matrix, q_matrix, dst, s.columns, false},
        [CONV_SRC] = {s.k, s.columns, s.ocg, w_matrix, d_matrix, q, s.columns, false},
        [CONV_WEI] = {s.ocg, s.k, s.columns, d_matrix, q_matrix, wei, s.k, mb > 0},
    };
    blas_multiply(plan->threads, &products[plan->output]);
    phase_mark(PHASE_MULTIPLY);
    if (copy && plan->output == CONV_SRC) {
        move(plan, block, tensor[CONV_SRC], q, false);
        phase_mark(PHASE_OUTPUT);
    }
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    for (int mb = 0; mb < plan->problem.mb; mb++)
        for (int g = 0; g < plan->problem.g; g++)
            run_image(plan, tensor, scratch, mb, g);
}

const struct conv_impl im2col_blas_impl = {
    .name = "im2col-blas",
    .family = "im2col",
    .summary = "Q built for an image at a time, multiplied by OpenBLAS",
    .source = "Chellapilla et al. 2006; Jia et al., Caffe, 2014; OpenBLAS",
    .exact = true,
    .refuse = refuse,
    .plan = plan,
    .run = run,
};
