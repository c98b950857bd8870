/* The parts of `explain` on the affine layer Y = W X + b, which is a 1x1 convolution on 1x1 images, and on elementwise
 * functions. SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "activation.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_affine(const struct conv_problem *p)
{
    return p->ih * p->iw * p->kh * p->kw * p->oh * p->ow == 1;
}

/* The lesson's own problem where it is affine, otherwise 3 inputs, 2 outputs, one image. */
static struct conv_problem affine_problem(const struct conv_problem *p)
{
    const struct conv_problem small = {1, 1, 3, 1, 1, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    return is_affine(p) ? *p : small;
}

static void derivation_show(const struct lesson *lesson)
{
    sheet_derivation(
        &lesson->sheet, 11,
        (struct sheet_step[]){
            {"ΔL ≃ tr(∂L/∂Y · ΔY)", "first order: the sum of all products of an entry of $∂L/∂Y$ and the "
                                    "change of its entry of $Y$; for one column a row times a column"},
            {"ΔY = W ΔX", "only $X$ changes"},
            {"ΔL ≃ tr(∂L/∂Y · W ΔX)", "inserted"},
            {"∂L/∂X = ∂L/∂Y · W", "what stands before $ΔX$, whatever $ΔX$ is"},
            {"ΔY = ΔW X", "only $W$ changes"},
            {"ΔL ≃ tr(∂L/∂Y · ΔW X)", "inserted"},
            {"ΔL ≃ tr(X · ∂L/∂Y · ΔW)", "$tr(P Q) = tr(Q P)$: the last factor may come first"},
            {"∂L/∂W = X · ∂L/∂Y", "what stands before $ΔW$"},
            {"∂L/∂b = ∂L/∂Y", "$ΔY = Δb$; with several columns $b$ goes to each, so their rows are added"},
            {"(∂L/∂X)ᵀ = Wᵀ (∂L/∂Y)ᵀ", "transposed"},
            {"(∂L/∂W)ᵀ = (∂L/∂Y)ᵀ Xᵀ", "transposed: it has the shape of $W$, as the step needs it"},
        });
}

/* a b, both row-major, in double and then float: small integers, so exact. */
static float *product(const float *a, const float *b, int rows, int inner, int columns)
{
    float *c = lesson_zeros((size_t)rows * (size_t)columns);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            for (int k = 0; k < inner; k++)
                c[i * columns + j] += a[i * inner + k] * b[k * columns + j];
    return c;
}

static float *transposed(const float *a, int rows, int columns)
{
    float *t = lesson_zeros((size_t)rows * (size_t)columns);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            t[j * rows + i] = a[i * columns + j];
    return t;
}

static double trace_of_product(const float *a, const float *b, int rows, int inner)
{
    double trace = 0;
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < inner; k++)
            trace += (double)a[i * inner + k] * (double)b[k * rows + i];
    return trace;
}

static struct sheet_matrix turned(struct sheet_matrix m)
{
    struct sheet_matrix t = lesson_cells(m.columns, m.rows);
    for (int i = 0; i < m.rows; i++)
        for (int j = 0; j < m.columns; j++)
            strcpy(t.cell[j * m.rows + i], m.cell[i * m.columns + j]);
    free(m.cell);
    return t;
}

/* X and Y have a column for each image, dL/dY a row: the tensors themselves, or turned. */
static void products_show(const struct lesson *affine)
{
    const struct conv_problem *p = &affine->problem;
    const struct lesson *a = affine;
    struct sheet_matrix b = lesson_cells(p->oc, 1), db = lesson_cells(1, p->oc);
    for (int j = 0; j < p->oc; j++) {
        double sum = 0;
        for (int s = 0; s < p->mb; s++)
            sum += (double)a->gradient[CONV_DST][s * p->oc + j];
        snprintf(b.cell[j], SHEET_CELL, "b_%d", j + 1);
        if (a->numbers)
            lesson_number(b.cell[j], j + 1), lesson_number(db.cell[j], sum);
        else
            snprintf(db.cell[j], SHEET_CELL, "∂b_%d", j + 1);
    }
    struct sheet_matrix y = turned(lesson_tensor(a, CONV_DST, false, 0, p->mb, p->oc));
    for (int j = 0; a->numbers && j < p->oc; j++)
        for (int s = 0; s < p->mb; s++)
            lesson_number(y.cell[j * p->mb + s], (double)a->tensor[CONV_DST][s * p->oc + j] + j + 1);
    lesson_show(a, p->mb > 1 ? "Y = @ = @ · @ + @ to each column" : "Y = @ = @ · @ + @",
                (struct sheet_matrix[]){y, lesson_explicit(a, MATRIX_A, 0),
                                        turned(lesson_tensor(a, CONV_SRC, false, 0, p->mb, p->ic)), b});
    lesson_show(a, "∂L/∂X = @ = @ · @",
                (struct sheet_matrix[]){lesson_tensor(a, CONV_SRC, true, 0, p->mb, p->ic),
                                        lesson_tensor(a, CONV_DST, true, 0, p->mb, p->oc),
                                        lesson_explicit(a, MATRIX_A, 0)});
    lesson_show(a, "∂L/∂W = @ = @ · @",
                (struct sheet_matrix[]){turned(lesson_tensor(a, CONV_WEI, true, 0, p->oc, p->ic)),
                                        turned(lesson_tensor(a, CONV_SRC, false, 0, p->mb, p->ic)),
                                        lesson_tensor(a, CONV_DST, true, 0, p->mb, p->oc)});
    lesson_show(a, p->mb > 1 ? "∂L/∂b = @ = the sum of the rows of @" : "∂L/∂b = @ = @",
                (struct sheet_matrix[]){db, lesson_tensor(a, CONV_DST, true, 0, p->mb, p->oc)});
    sheet_text(&a->sheet, "Transposed:");
    lesson_show(a, "(∂L/∂X)ᵀ = @ = @ · @",
                (struct sheet_matrix[]){turned(lesson_tensor(a, CONV_SRC, true, 0, p->mb, p->ic)),
                                        lesson_explicit(a, MATRIX_A_TRANSPOSED, 0),
                                        turned(lesson_tensor(a, CONV_DST, true, 0, p->mb, p->oc))});
    lesson_show(a, "(∂L/∂W)ᵀ = @ = @ · @",
                (struct sheet_matrix[]){lesson_tensor(a, CONV_WEI, true, 0, p->oc, p->ic),
                                        turned(lesson_tensor(a, CONV_DST, true, 0, p->mb, p->oc)),
                                        lesson_tensor(a, CONV_SRC, false, 0, p->mb, p->ic)});
}

/* The products of the formulas, and the passes of the 1x1 convolution by direct. */
static bool products_agree(const struct lesson *a)
{
    const struct conv_problem *p = &a->problem;
    float *const *v = a->tensor, *dy = a->gradient[CONV_DST];
    float *x = transposed(v[CONV_SRC], p->mb, p->ic);
    float *dx = product(dy, v[CONV_WEI], p->mb, p->oc, p->ic), *dw = product(x, dy, p->ic, p->mb, p->oc);
    float *y = product(v[CONV_WEI], x, p->oc, p->ic, p->mb);
    float *y_turned = transposed(y, p->oc, p->mb), *dw_turned = transposed(dw, p->ic, p->oc);
    float *direct[CONV_TENSORS];
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        direct[t] = lesson_zeros(conv_elements(p, t));
    lesson_compute("direct", p, CONV_DST, (float *[]){v[CONV_SRC], v[CONV_WEI], direct[CONV_DST]});
    lesson_compute("direct", p, CONV_SRC, (float *[]){direct[CONV_SRC], v[CONV_WEI], dy});
    lesson_compute("direct", p, CONV_WEI, (float *[]){v[CONV_SRC], direct[CONV_WEI], dy});
    const bool agree = lesson_same(direct[CONV_DST], y_turned, conv_elements(p, CONV_DST)) &&
                       lesson_same(direct[CONV_SRC], dx, conv_elements(p, CONV_SRC)) &&
                       lesson_same(direct[CONV_WEI], dw_turned, conv_elements(p, CONV_WEI));
    float *all[] = {x, dx, dw, y, y_turned, dw_turned, direct[0], direct[1], direct[2]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return agree;
}

/* The two traces of the derivation, for a change of W. */
static void traces_show(const struct lesson *a)
{
    const struct conv_problem *p = &a->problem;
    uint64_t random = a->seed + 1;
    float *step = lesson_zeros(conv_elements(p, CONV_WEI)),
          *x = transposed(a->tensor[CONV_SRC], p->mb, p->ic);
    lesson_draw(step, conv_elements(p, CONV_WEI), &random);
    float *change = product(step, x, p->oc, p->ic, p->mb);
    float *gradient = product(x, a->gradient[CONV_DST], p->ic, p->mb, p->oc);
    const double before = trace_of_product(a->gradient[CONV_DST], change, p->mb, p->oc);
    const double after = trace_of_product(gradient, step, p->ic, p->oc);
    sheet_text(&a->sheet,
               "For a $ΔW$ of small integers: $tr(∂L/∂Y · ΔW X) = %.0f$, $tr(X · ∂L/∂Y · ΔW) = %.0f$: %s.",
               before, after, before == after ? "equal" : lesson_verdict(false));
    free(step);
    free(x);
    free(change);
    free(gradient);
}

void explain_affine(const struct lesson *lesson)
{
    const struct conv_problem problem = affine_problem(&lesson->problem);
    struct lesson affine = lesson_open(lesson, &problem);
    sheet_text(&lesson->sheet,
               "An affine layer is a $1 × 1$ convolution on $1 × 1$ images, with the same passes in the "
               "program. %s Each "
               "image is a column of $X$ and of $Y$, and a row of $∂L/∂X$ and $∂L/∂Y$; here there is %s. $W$ "
               "has one row "
               "for each of %s and one column for each of %s.",
               is_affine(&lesson->problem) ? "This problem is one."
                                           : "This problem is not; here is one that is, mb1ic3ih1oc2kh1.",
               lesson_count(problem.mb, "image"), lesson_count(problem.oc, "output"),
               lesson_count(problem.ic, "input"));
    derivation_show(lesson);
    sheet_text(&lesson->sheet,
               "In symbols; $∂a$ is short for $∂L/∂a$, and $∂w_ji$ stands in row $i$ and column $j$ of "
               "$∂L/∂W$, where it meets $Δw_ji$ in the trace:");
    affine.numbers = false;
    products_show(&affine);
    sheet_text(&lesson->sheet, "In numbers, with $b = 1, 2, …$:");
    affine.numbers = true;
    products_show(&affine);
    sheet_text(&lesson->sheet,
               "The products of the formulas and the three passes of the $1 × 1$ convolution (direct): %s.",
               lesson_verdict(products_agree(&affine)));
    traces_show(&affine);
    lesson_close(&affine);
}

/* ---- Y = phi(X) ---- */

enum { VALUES = 3 };

/* phi and its derivative in words; what is shown in numbers comes from the code. */
static const char *const formulas[ACTIVATIONS] = {
    [ACTIVATION_IDENTITY] = "$φ(x) = x$, $φ′(x) = 1$",
    [ACTIVATION_RELU] = "$φ(x) = x$ for $x > 0$, otherwise 0; $φ′(x) = 1$ or 0",
    [ACTIVATION_LEAKY_RELU] = "$φ(x) = x$ for $x > 0$, otherwise $0.01 x$; $φ′(x) = 1$ or 0.01",
    [ACTIVATION_TANH] = "$φ(x) = tanh x$, $φ′(x) = 1 − y²$ with $y = φ(x)$",
    [ACTIVATION_SIGMOID] = "$φ(x) = 1/(1 + exp(−x))$, $φ′(x) = y (1 − y)$ with $y = φ(x)$",
};

static struct sheet_matrix row_of(const float *value, int rows, int columns)
{
    struct sheet_matrix m = lesson_cells(rows, columns);
    for (int i = 0; i < rows * columns; i++)
        lesson_number(m.cell[i], (double)value[i]);
    return m;
}

/* The diagonal comes from the derivative that the layers use; differences of phi judge it. */
static void activation_show(const struct lesson *lesson, const struct activation *phi, const float *x,
                            const float *dy)
{
    /* The remainder of the central difference is h^2 / 6 times the third derivative (at most 2), 5e-6; rounding adds
     * about 2^-24 / h, 1.5e-5. */
    const float h = 1 / 256.f;
    float y[VALUES], jacobian[VALUES * VALUES] = {0}, dx[VALUES];
    double largest = 0;
    for (int k = 0; k < VALUES; k++)
        y[k] = phi->apply(x[k]);
    for (int k = 0; k < VALUES; k++) {
        const float slope = jacobian[k * VALUES + k] = phi->derivative(y[k]);
        const double difference =
            ((double)phi->apply(x[k] + h) - (double)phi->apply(x[k] - h)) / (2 * (double)h);
        largest = fmax(largest, fabs((double)slope - difference));
    }
    activation_backward(phi, y, dy, dx, VALUES);
    float *rule = product(dy, jacobian, 1, VALUES, VALUES);
    sheet_text(&lesson->sheet, "%s: %s.", phi->name, formulas[phi - activations]);
    lesson_show(lesson, "X = @   φ(X) = @",
                (struct sheet_matrix[]){row_of(x, VALUES, 1), row_of(y, VALUES, 1)});
    lesson_show(lesson, "∂L/∂X = @ = @ · @",
                (struct sheet_matrix[]){row_of(dx, 1, VALUES), row_of(dy, 1, VALUES),
                                        row_of(jacobian, VALUES, VALUES)});
    sheet_text(&lesson->sheet,
               "The product with the Jacobian and the program's backward pass of φ: %s. The diagonal is at "
               "most %.1e away "
               "from $(φ(x + h) − φ(x − h))/2h$ with $h = 1/256$.",
               lesson_verdict(lesson_same(rule, dx, VALUES)), largest);
    free(rule);
}

void explain_activation(const struct lesson *lesson)
{
    uint64_t random = lesson->seed;
    float x[VALUES], dy[VALUES];
    lesson_draw(x, VALUES, &random);
    lesson_draw(dy, VALUES, &random);
    for (int k = 0; k < VALUES; k++)
        x[k] = fabsf(x[k]) / (k % 2 ? -2 : 2); /* both signs, where the functions bend */
    sheet_text(&lesson->sheet,
               "Each $y_k$ depends on its own $x_k$ alone, so all entries of the Jacobian off the "
               "diagonal are zero:");
    sheet_derivation(&lesson->sheet, 3,
                     (struct sheet_step[]){
                         {"Δy_k ≃ φ′(x_k) Δx_k", "the definition of the derivative"},
                         {"ΔL ≃ Σ_k ∂L/∂y_k · φ′(x_k) Δx_k", "inserted into $ΔL ≃ ∂L/∂Y · ΔY$"},
                         {"∂L/∂x_k = φ′(x_k) · ∂L/∂y_k", "what stands before $Δx_k$"},
                     });
    struct sheet_matrix dx = lesson_cells(1, VALUES), dys = lesson_cells(1, VALUES),
                        j = lesson_cells(VALUES, VALUES);
    for (int k = 0; k < VALUES; k++) {
        snprintf(dx.cell[k], SHEET_CELL, "∂x_%d", k + 1);
        snprintf(dys.cell[k], SHEET_CELL, "∂y_%d", k + 1);
        for (int l = 0; l < VALUES; l++)
            snprintf(j.cell[k * VALUES + l], SHEET_CELL, k == l ? "φ′(x_%d)" : "0", k + 1);
    }
    lesson_show(lesson, "∂L/∂X = @ = @ · @", (struct sheet_matrix[]){dx, dys, j});
    sheet_text(&lesson->sheet, "Every $φ$ that the program knows, in numbers:");
    for (const struct activation *phi = activations; phi->name; phi++)
        activation_show(lesson, phi, x, dy);
}
