/* The part of `explain` on the first-order change: A and Q as the Jacobians of the convolution, measured by unit steps.
 * SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "random.h"

#include <stdlib.h>

static void derivation_show(const struct lesson *lesson)
{
    sheet_text(&lesson->sheet,
               "In general the first-order change of a layer is $Δy ≃ J Δx$: the Jacobian $J$ holds "
               "$∂y_k/∂x_l$ in row $k$ and column $l$. For the convolution:");
    sheet_derivation(&lesson->sheet, 4,
                     (struct sheet_step[]){
                         {"Δy = A (x + Δx) − A x", "the input moves, the weights stay"},
                         {"Δy = A Δx", "$A$ does not depend on $x$: no remainder, so $J = A$ for $x$"},
                         {"Δy = Q (m + Δm) − Q m", "the weights move, the input stays"},
                         {"Δy = Q Δm", "$Q$ does not depend on $m$: so $J = Q$ for $m$"},
                     });
    sheet_text(&lesson->sheet, "Both gradients follow, line by line:");
    sheet_derivation(&lesson->sheet, 7,
                     (struct sheet_step[]){
                         {"ΔL ≃ ∂L/∂y · Δy", "what a gradient is: the first-order change of $L$"},
                         {"ΔL ≃ ∂L/∂y · A Δx", "with $Δy = A Δx$"},
                         {"∂L/∂x = ∂L/∂y · A", "whatever $Δx$ is, so the row before it is the gradient"},
                         {"(∂L/∂x)ᵀ = Aᵀ (∂L/∂y)ᵀ", "transposed: backward"},
                         {"ΔL ≃ ∂L/∂y · Q Δm", "with $Δy = Q Δm$"},
                         {"∂L/∂m = ∂L/∂y · Q", "whatever $Δm$ is"},
                         {"(∂L/∂m)ᵀ = Qᵀ (∂L/∂y)ᵀ", "transposed: the gradient of the weights"},
                     });
}

/* One image and one output channel suffice for Q, one image for A. */
static struct conv_problem one_image(const struct conv_problem *p, enum conv_tensor argument)
{
    struct conv_problem one = *p;
    one.mb = 1;
    one.oc = argument == CONV_WEI ? 1 : p->oc;
    return one;
}

/* Column l is y(argument + unit step l) - y(argument), by direct; the other argument holds the numbers of its elements. */
static float *jacobian_measure(const struct conv_problem *p, enum conv_tensor argument, uint64_t seed)
{
    const enum conv_tensor other = argument == CONV_SRC ? CONV_WEI : CONV_SRC;
    const size_t rows = conv_elements(p, CONV_DST), columns = conv_elements(p, argument);
    float *jacobian = lesson_zeros(rows * columns), *before = lesson_zeros(rows), *after = lesson_zeros(rows);
    float *tensor[CONV_TENSORS] = {[CONV_DST] = before};
    tensor[argument] = lesson_zeros(columns);
    tensor[other] = lesson_counted(conv_elements(p, other));
    lesson_draw(tensor[argument], columns, &seed);
    lesson_compute("direct", p, CONV_DST, tensor);
    tensor[CONV_DST] = after;
    for (size_t l = 0; l < columns; l++) {
        tensor[argument][l] += 1;
        lesson_compute("direct", p, CONV_DST, tensor);
        tensor[argument][l] -= 1;
        for (size_t k = 0; k < rows; k++)
            jacobian[k * columns + l] = after[k] - before[k];
    }
    free(tensor[argument]);
    free(tensor[other]);
    free(before);
    free(after);
    return jacobian;
}

static void jacobian_show(const struct lesson *lesson, enum conv_tensor argument)
{
    const struct conv_problem one = one_image(&lesson->problem, argument);
    const enum conv_tensor other = argument == CONV_SRC ? CONV_WEI : CONV_SRC;
    int rows, columns;
    float *values = lesson_counted(conv_elements(&one, other));
    float *built =
        lesson_explicit_numbers(&one, argument == CONV_SRC ? MATRIX_A : MATRIX_Q, values, &rows, &columns);
    float *measured = jacobian_measure(&one, argument, lesson->seed);
    struct sheet_matrix m = lesson_numbered(lesson, other, measured, rows, columns);
    m.row_block = (int)lesson_pixels(&one, CONV_DST);
    m.column_block = (int)lesson_pixels(&one, argument);
    lesson_show(lesson, argument == CONV_SRC ? "J = ∂y/∂x = @" : "J = ∂y/∂m = @", &m);
    sheet_text(&lesson->sheet, "It and $%s$: %s.", argument == CONV_SRC ? "A" : "Q",
               lesson_verdict(lesson_same(measured, built, (size_t)rows * (size_t)columns)));
    free(values);
    free(built);
    free(measured);
}

static double dot(const float *a, const float *b, size_t elements)
{
    double sum = 0;
    for (size_t i = 0; i < elements; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* A step of one argument, with L = dL/dy y: what L really changes by, and what the gradient says. */
static void change_show(const struct lesson *lesson, enum conv_tensor argument)
{
    const struct conv_problem *p = &lesson->problem;
    const size_t elements = conv_elements(p, argument), outputs = conv_elements(p, CONV_DST);
    uint64_t random = lesson->seed + 1;
    float *step = lesson_zeros(elements), *moved = lesson_zeros(elements), *after = lesson_zeros(outputs);
    lesson_draw(step, elements, &random);
    for (size_t i = 0; i < elements; i++)
        moved[i] = lesson->tensor[argument][i] + step[i];
    float *tensor[CONV_TENSORS] = {lesson->tensor[CONV_SRC], lesson->tensor[CONV_WEI], after};
    tensor[argument] = moved;
    lesson_compute("direct", p, CONV_DST, tensor);
    const float *dy = lesson->gradient[CONV_DST];
    const double change = dot(dy, after, outputs) - dot(dy, lesson->tensor[CONV_DST], outputs);
    const double predicted = dot(lesson->gradient[argument], step, elements);
    sheet_text(&lesson->sheet, "A step $Δ%s$ of small integers: $ΔL = %.0f$, $∂L/∂%s · Δ%s = %.0f$: %s.",
               argument == CONV_SRC ? "x" : "m", change, argument == CONV_SRC ? "x" : "m",
               argument == CONV_SRC ? "x" : "m", predicted,
               change == predicted ? "equal" : lesson_verdict(false));
    free(step);
    free(moved);
    free(after);
}

void explain_jacobian(const struct lesson *lesson)
{
    derivation_show(lesson);
    sheet_text(&lesson->sheet,
               "Measured, without any matrix: one entry of $x$ is raised by 1, direct computes $y$ again, "
               "and the change of $y$ is a column of $J$.%s",
               lesson->problem.mb > 1 ? " For one image." : "");
    jacobian_show(lesson, CONV_SRC);
    sheet_text(&lesson->sheet, "The same with the entries of $m$%s:",
               lesson->problem.mb * lesson->problem.oc > 1 ? ", for one image and one output channel" : "");
    jacobian_show(lesson, CONV_WEI);
    sheet_text(&lesson->sheet,
               "With $L = ∂L/∂y · y$, for a $∂L/∂y$ of small integers, $L$ is linear in $x$ and in $m$, and "
               "the first-order change is the whole change:");
    change_show(lesson, CONV_SRC);
    change_show(lesson, CONV_WEI);
}
