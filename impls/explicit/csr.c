/* The matrices of the course in compressed sparse rows: what the padding makes zero is left out. The weights appear
 * once for each pixel that they are applied to, so this is far smaller than the dense matrix and still far larger
 * than the layer.
 *
 *     fwd   dst[row][mb] = A   src[col][mb]           bwd   src[row][mb] = A^T dst[col][mb]
 *     upd   wei[row][oc] = sum over images of Q^T dst[col][oc]
 *
 * Each pass has a matrix of its own by rows, so that threads own rows and nothing is added to from two sides. The
 * dense operands are transposed first, so that the images (or output channels) are the lanes of vectors.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "explicit/csr_row.h"
#include "explicit/matrix.h"
#include "im2col/columns.h"
#include "phase.h"
#include "size.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A transposition of rows x cols: one of the operands between its plain layout and lanes. */
struct sides {
    size_t rows, cols;
};

struct state {
    struct matrix m;
    size_t lanes, group_lanes; /* columns of the dense operands: mb, or oc and oc of a group */
    size_t b_stride, c_stride;
    size_t b_floats, c_floats;
};

static const char *refuse(const struct conv_problem *p, enum conv_tensor output)
{
    const size_t src = (size_t)p->ic / p->g * p->ih * p->iw, dst = (size_t)p->oc / p->g * p->oh * p->ow;
    const size_t cols = output == CONV_DST ? src : output == CONV_SRC ? dst : (size_t)p->oh * p->ow;
    return cols > INT_MAX ? "its matrix has too many columns" : NULL;
}

static const char *plan(struct conv_plan *plan)
{
    static const enum matrix_name names[CONV_TENSORS] = {
        [CONV_DST] = MATRIX_A, [CONV_SRC] = MATRIX_A_TRANSPOSED, [CONV_WEI] = MATRIX_Q_TRANSPOSED};
    const struct conv_problem *p = &plan->problem;
    struct state s;
    const char *reason = matrix_create(&s.m, p, names[plan->output]);
    if (reason)
        return reason;
    const bool gradient = plan->output == CONV_WEI;
    s.lanes = gradient ? p->oc : p->mb;
    s.group_lanes = gradient ? p->oc / p->g : p->mb;
    /* A group's lanes may begin anywhere in a row of B, so there the padding comes on top. */
    s.b_stride = size_round_up(s.lanes, CSR_PADDING) + (gradient ? CSR_PADDING : 0);
    s.c_stride = size_round_up(s.group_lanes, CSR_PADDING);
    s.b_floats = size_multiply(size_multiply(s.m.cols, gradient ? 1 : p->g), s.b_stride);
    s.c_floats = size_multiply(s.m.rows, s.c_stride);
    const size_t csr = size_multiply(s.m.entries, sizeof(int) + sizeof(float));
    plan->scratch_bytes = size_add(csr, size_multiply(size_add(s.b_floats, s.c_floats), sizeof(float)));
    if (plan->scratch_bytes == SIZE_MAX || !(plan->state = malloc(sizeof s))) {
        matrix_destroy(&s.m);
        return plan->scratch_bytes == SIZE_MAX ? "its matrix is too large to count" : "out of memory";
    }
    memcpy(plan->state, &s, sizeof s);
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(p, t) * sizeof(float);
    snprintf(plan->detail, sizeof plan->detail, "%s, %zu rows, %zu entries", isa_name(plan->isa), s.m.rows,
             s.m.entries);
    return NULL;
}

static void destroy(struct conv_plan *plan)
{
    struct state *s = plan->state;
    matrix_destroy(&s->m);
    free(s);
}

/* to[c][r] = from[r][c], the longer side shared among the threads. */
static void transpose(const struct conv_plan *plan, size_t rows, size_t cols, const float *from,
                      size_t from_stride, float *to, size_t to_stride)
{
    enum { BLOCK = 256 };
    const struct columns_kernel *kernel = columns_kernel(plan->isa);
    const bool tall = rows > cols;
    const size_t side = tall ? rows : cols;
#pragma omp parallel for num_threads(plan->threads) schedule(static)
    for (size_t i = 0; i < side; i += BLOCK) {
        const size_t n = side - i < BLOCK ? side - i : BLOCK;
        if (tall)
            kernel->transpose(n, cols, from + i * from_stride, from_stride, to + i, to_stride);
        else
            kernel->transpose(rows, n, from + i, from_stride, to + i * to_stride, to_stride);
    }
}

/* Fills the matrix with `values` and multiplies: C[row] (+)= M[row] B. */
static void multiply(const struct conv_plan *plan, const float *values, void *scratch, bool accumulate)
{
    const struct state *s = plan->state;
    const bool gradient = plan->output == CONV_WEI;
    const struct csr_shape shape = {s->c_stride, s->b_stride, accumulate};
    csr_row_fn *row_product = csr_row(plan->isa);
    float *b = scratch, *c = b + s->b_floats, *value = c + s->c_floats;
    int *col = (int *)(value + s->m.entries);
    const size_t group_b = gradient ? s->group_lanes : s->m.cols * s->b_stride;
#pragma omp parallel for num_threads(plan->threads) schedule(static)
    for (size_t row = 0; row < s->m.rows; row++) {
        const size_t start = matrix_start(&s->m, row), entries = matrix_start(&s->m, row + 1) - start;
        matrix_fill_sparse(&s->m, row, values, col + start, value + start);
        phase_mark(gradient ? PHASE_INPUT : PHASE_WEIGHTS);
        row_product(&shape, entries, col + start, value + start, b + matrix_group(&s->m, row) * group_b,
                    c + row * s->c_stride);
        phase_mark(PHASE_MULTIPLY);
    }
}

static void run_images(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct state *s = plan->state;
    const enum conv_tensor input = s->m.col;
    const size_t mb = plan->problem.mb, image = conv_elements(&plan->problem, input) / mb;
    transpose(plan, mb, image, tensor[input], image, scratch, s->b_stride);
    phase_mark(PHASE_INPUT);
    multiply(plan, tensor[CONV_WEI], scratch, false);
    transpose(plan, s->m.rows, mb, scratch + s->b_floats, s->c_stride, tensor[plan->output], s->m.rows);
    phase_mark(PHASE_OUTPUT);
}

static void run_gradient(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], float *scratch)
{
    const struct conv_problem *p = &plan->problem;
    const struct state *s = plan->state;
    const size_t plane = s->m.cols, k = s->m.rows / p->g, ocg = s->group_lanes;
    for (size_t mb = 0; mb < (size_t)p->mb; mb++) {
        transpose(plan, p->oc, plane, tensor[CONV_DST] + mb * p->oc * plane, plane, scratch, s->b_stride);
        phase_mark(PHASE_INPUT);
        multiply(plan, tensor[CONV_SRC] + mb * p->ic * p->ih * p->iw, scratch, mb > 0);
    }
    for (size_t g = 0; g < (size_t)p->g; g++)
        transpose(plan, k, ocg, scratch + s->b_floats + g * k * s->c_stride, s->c_stride,
                  tensor[CONV_WEI] + g * ocg * k, k);
    phase_mark(PHASE_OUTPUT);
}

static void run(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    if (plan->output == CONV_WEI)
        run_gradient(plan, tensor, scratch);
    else
        run_images(plan, tensor, scratch);
}

const struct conv_impl explicit_csr_impl = {
    .name = "explicit-csr",
    .family = "explicit",
    .summary = "the matrices A, A^T and Q^T in compressed sparse rows",
    .source = "the course's matrices",
    .exact = true,
    .refuse = refuse,
    .plan = plan,
    .run = run,
    .destroy = destroy,
};
