/* The matrices of the course really built, zeros and all, and multiplied by BLAS: forward and backward by A, whose
 * entries are the weights, with the images of the minibatch as the columns of the other matrix; the weight update
 * by Q of one image after another. The matrices hold values, which change in training, so `run` builds them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "explicit/matrix.h"
#include "kernels/blas.h"
#include "phase.h"
#include "size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static const char *refuse(const struct conv_problem *p, enum conv_tensor output)
{
    const size_t src = (size_t)p->ic * p->ih * p->iw, dst = (size_t)p->oc * p->oh * p->ow;
    const size_t columns = size_multiply((size_t)p->kh * p->kw, p->ic);
    return blas_refuses(output == CONV_WEI ? max(columns, (size_t)p->oh * p->ow) : max(src, dst));
}

static const char *plan(struct conv_plan *plan)
{
    struct matrix m;
    const char *reason = matrix_create(&m, &plan->problem, plan->output == CONV_WEI ? MATRIX_Q : MATRIX_A);
    if (reason)
        return reason;
    plan->scratch_bytes = size_multiply(size_multiply(m.rows, m.cols), sizeof(float));
    if (plan->scratch_bytes == SIZE_MAX || !(plan->state = malloc(sizeof m))) {
        matrix_destroy(&m);
        return plan->scratch_bytes == SIZE_MAX ? "its matrix is too large to count" : "out of memory";
    }
    memcpy(plan->state, &m, sizeof m);
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    snprintf(plan->detail, sizeof plan->detail, "OpenBLAS sgemm, %c %zu x %zu",
             plan->output == CONV_WEI ? 'Q' : 'A', m.rows, m.cols);
    return NULL;
}

static void destroy(struct conv_plan *plan)
{
    matrix_destroy(plan->state);
    free(plan->state);
}

static void build(const struct conv_plan *plan, const float *values, float *to)
{
    const struct matrix *m = plan->state;
#pragma omp parallel for num_threads(plan->threads) schedule(static)
    for (size_t row = 0; row < m->rows; row++)
        matrix_fill_dense(m, row, values, to + row * m->cols);
}

/* dst = A src, src = A^T dst. An image is a row in memory, so both sides are transposed. */
static void multiply_by_a(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *a)
{
    const struct conv_problem *p = &plan->problem;
    const struct matrix *m = plan->state;
    const size_t src = (size_t)p->ic * p->ih * p->iw, dst = (size_t)p->oc * p->oh * p->ow;
    build(plan, tensor[CONV_WEI], a);
    phase_mark(PHASE_WEIGHTS);
    for (size_t g = 0; g < (size_t)p->g; g++) {
        const size_t rows = m->rows / p->g, cols = m->cols;
        const struct blas_matrix block = {a + g * rows * cols, cols, plan->output == CONV_DST};
        float *x = tensor[CONV_SRC] + g * cols, *y = tensor[CONV_DST] + g * rows;
        const struct blas_product product =
            plan->output == CONV_DST
                ? (struct blas_product){p->mb, rows, cols, {x, src, false}, block, y, dst, false}
                : (struct blas_product){p->mb, cols, rows, {y, dst, false}, block, x, src, false};
        blas_multiply(plan->threads, &product);
    }
    phase_mark(PHASE_MULTIPLY);
}

/* wei = sum over images Q^T dst */
static void multiply_by_q(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *q)
{
    const struct conv_problem *p = &plan->problem;
    const struct matrix *m = plan->state;
    const size_t ocg = p->oc / p->g, k = m->cols / p->g;
    for (size_t mb = 0; mb < (size_t)p->mb; mb++) {
        build(plan, tensor[CONV_SRC] + mb * p->ic * p->ih * p->iw, q);
        phase_mark(PHASE_INPUT);
        for (size_t g = 0; g < (size_t)p->g; g++) {
            const float *dst = tensor[CONV_DST] + (mb * p->oc + g * ocg) * m->rows;
            const struct blas_product product = {.rows = ocg,
                                                 .cols = k,
                                                 .depth = m->rows,
                                                 .a = {dst, m->rows, false},
                                                 .b = {q + g * k, m->cols, false},
                                                 .c = tensor[CONV_WEI] + g * ocg * k,
                                                 .c_stride = k,
                                                 .accumulate = mb > 0};
            blas_multiply(plan->threads, &product);
        }
        phase_mark(PHASE_MULTIPLY);
    }
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    if (plan->output == CONV_WEI)
        multiply_by_q(plan, tensor, scratch);
    else
        multiply_by_a(plan, tensor, scratch);
}

const struct conv_impl explicit_dense_impl = {
    .name = "explicit-dense",
    .family = "explicit",
    .summary = "the Toeplitz matrix A, and Q, built in full and multiplied by OpenBLAS",
    .source = "the course's matrices; OpenBLAS",
    .exact = true,
    .refuse = refuse,
    .plan = plan,
    .run = run,
    .destroy = destroy,
};
