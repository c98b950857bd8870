/* The parts of `explain` on the passes as matrix products. SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "problem_string.h"

#include <stdlib.h>
#include <string.h>

/* As many planes as are shown of a tensor, or as many blocks: the rest is "likewise". */
enum { SHOWN = 8 };

static void planes_show(const struct lesson *lesson, enum conv_tensor tensor)
{
    static const char letter[CONV_TENSORS] = {'x', 'w', 'y'};
    char equation[SHOWN * 32] = "";
    struct sheet_matrix plane[SHOWN];
    int extent[4], shown = 0;
    conv_extents(&lesson->problem, tensor, extent);
    for (int a = 0; a < extent[0]; a++)
        for (int b = 0; b < extent[1] && shown < SHOWN; b++, shown++) {
            snprintf(equation + strlen(equation), 32, "%s%c(%d,%d) = @", shown ? "   " : "", letter[tensor],
                     a + 1, b + 1);
            plane[shown] = lesson_plane(lesson, tensor, false, a, b);
        }
    lesson_show(lesson, equation, plane);
    if (shown < extent[0] * extent[1])
        sheet_text(&lesson->sheet, "and so on: %d of %d are shown.", shown, extent[0] * extent[1]);
}

static void sizes_text(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    char text[PROBLEM_STRING_MAX];
    problem_string_print(p, text, sizeof text);
    sheet_text(&lesson->sheet,
               "%s: %s of %s and $%d × %d$ pixels; kernels of $%d × %d$; zero padding of %s; stride %s; %s "
               "of $%d × %d$ "
               "pixels.",
               text, lesson_count(p->mb, "image"), lesson_count(p->ic, "channel"), p->ih, p->iw, p->kh, p->kw,
               lesson_both(p->ph, p->pw), lesson_both(p->sh, p->sw), lesson_count(p->oc, "output channel"),
               p->oh, p->ow);
}

void explain_layer(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    sizes_text(lesson);
    if (p->mb * p->ic * p->oc == 1) {
        lesson_show(lesson, "x = @   w = @   y = @",
                    (struct sheet_matrix[]){lesson_plane(lesson, CONV_SRC, false, 0, 0),
                                            lesson_plane(lesson, CONV_WEI, false, 0, 0),
                                            lesson_plane(lesson, CONV_DST, false, 0, 0)});
    } else {
        sheet_text(&lesson->sheet,
                   "$x(s,i)$ is channel $i$ of image $s$, $w(j,i)$ the kernel from input channel "
                   "$i$ to output channel $j$, $y(s,j)$ output channel $j$ of image $s$:");
        planes_show(lesson, CONV_SRC);
        planes_show(lesson, CONV_WEI);
        planes_show(lesson, CONV_DST);
    }
    sheet_text(&lesson->sheet,
               "$⋆$ is cross-correlation throughout: the kernel slides over the image and is not turned "
               "in the forward pass.");
    sheet_text(
        &lesson->sheet,
        "One convention is kept throughout. Images and kernels are read row by row, channel after channel, "
        "and so become the columns $x$, $y$ and $m$. A gradient is a row, with one entry for each entry of "
        "the column: then $ΔL ≃ ∂L/∂x · Δx$ is a row times a column, a number, and Jacobians come from "
        "the right. Transposed, a gradient is a column, and the transposed Jacobian comes from the left: "
        "$(P Q)ᵀ = Qᵀ Pᵀ$. Results are given in both ways. Where a gradient is laid out, $∂a$ is short "
        "for $∂L/∂a$.");
}

/* Whether a pass gives the same by direct as the lesson has from explicit-dense. */
static bool direct_agrees(const struct lesson *lesson, enum conv_tensor output)
{
    const size_t elements = conv_elements(&lesson->problem, output);
    float *again = lesson_zeros(elements), *tensor[CONV_TENSORS];
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        tensor[t] = lesson->tensor[t];
    if (output != CONV_DST)
        tensor[CONV_DST] = lesson->gradient[CONV_DST];
    tensor[output] = again;
    lesson_compute("direct", &lesson->problem, output, tensor);
    const bool same =
        lesson_same(again, (output == CONV_DST ? lesson->tensor : lesson->gradient)[output], elements);
    free(again);
    return same;
}

void explain_forward(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    const bool channels = p->oc > 1 || p->ic > 1;
    sheet_text(
        &lesson->sheet,
        "Each output pixel is a weighted sum of input pixels. So the layer is a matrix with one row for each "
        "output pixel and one column for each input pixel. $A$ holds the weights, shifted from row to row (a "
        "doubly blocked Toeplitz matrix), and zeros where no tap reaches, or only into the padding.%s%s",
        channels ? " Block $(j,i)$ of $A$, between the borders, belongs to output channel $j$ and input "
                   "channel $i$."
                 : "",
        p->mb > 1 ? " The same $A$ serves all images; below stands image 1." : "");
    struct sheet_matrix y = lesson_tensor(lesson, CONV_DST, false, 0, p->oc * p->oh * p->ow, 1),
                        x = lesson_tensor(lesson, CONV_SRC, false, 0, p->ic * p->ih * p->iw, 1);
    y.row_block = (int)lesson_pixels(p, CONV_DST), x.row_block = (int)lesson_pixels(p, CONV_SRC);
    sheet_text(&lesson->sheet, "$y = A x$:");
    lesson_show(lesson, "@ = @ · @", (struct sheet_matrix[]){y, lesson_explicit(lesson, MATRIX_A, 0), x});
    sheet_text(&lesson->sheet,
               "As a matrix product (explicit-dense) and as a convolution (direct), on integers: %s.",
               lesson_verdict(direct_agrees(lesson, CONV_DST)));
}

void explain_weights(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    sheet_text(&lesson->sheet,
               "Each output pixel is also a weighted sum of weights: $m$ is the kernel read row by row, and "
               "$Q$ holds "
               "the inputs (im2col, with one row for each output pixel and one column for each weight).%s",
               p->oc > 1 || p->mb > 1 ? " $Q$ depends on the image, and each output channel has an $m$ of "
                                        "its own: $y(s,j) = Q(s) m(j)$. "
                                        "Below, $s$ and $j$ are 1."
                                      : "");
    struct sheet_matrix m = lesson_tensor(lesson, CONV_WEI, false, 0, p->ic * p->kh * p->kw, 1);
    m.row_block = p->kh * p->kw;
    sheet_text(&lesson->sheet, "$y = Q m$:");
    lesson_show(lesson, "@ = @ · @",
                (struct sheet_matrix[]){lesson_tensor(lesson, CONV_DST, false, 0, p->oh * p->ow, 1),
                                        lesson_explicit(lesson, MATRIX_Q, 0), m});
}

void explain_backward(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    sheet_text(&lesson->sheet,
               "From $∂L/∂x = ∂L/∂y · A$, transposed. Columns become rows: each input pixel "
               "collects from the output pixels that it went into, with the same weights.%s",
               p->mb > 1 ? " Each image on its own; below stands image 1." : "");
    struct sheet_matrix dx = lesson_tensor(lesson, CONV_SRC, true, 0, p->ic * p->ih * p->iw, 1),
                        dy = lesson_tensor(lesson, CONV_DST, true, 0, p->oc * p->oh * p->ow, 1);
    dx.row_block = (int)lesson_pixels(p, CONV_SRC), dy.row_block = (int)lesson_pixels(p, CONV_DST);
    lesson_show(lesson, "@ = @ · @",
                (struct sheet_matrix[]){dx, lesson_explicit(lesson, MATRIX_A_TRANSPOSED, 0), dy});
    sheet_text(&lesson->sheet,
               "$Aᵀ (∂L/∂y)ᵀ$ (explicit-dense) and the backward pass of direct, on integers: %s.",
               lesson_verdict(direct_agrees(lesson, CONV_SRC)));
}

void explain_update(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    sheet_text(&lesson->sheet,
               "From $∂L/∂m = ∂L/∂y · Q$, transposed: each weight collects from all output pixels "
               "that it went into.");
    for (int s = 0; s < p->mb && s < SHOWN; s++) {
        struct sheet_matrix m[] = {
            lesson_tensor(lesson, CONV_WEI, true, 0, p->ic * p->kh * p->kw, 1),
            lesson_explicit(lesson, MATRIX_Q_TRANSPOSED, (size_t)(s * p->ic) * lesson_pixels(p, CONV_SRC)),
            lesson_tensor(lesson, CONV_DST, true, (size_t)(s * p->oc) * lesson_pixels(p, CONV_DST),
                          p->oh * p->ow, 1)};
        m[0].row_block = p->kh * p->kw;
        if (s == 0 && (p->mb > 1 || p->oc > 1))
            sheet_text(&lesson->sheet,
                       "For output channel 1, the sum over %s:", lesson_count(p->mb, "image"));
        if (s > 0)
            free(m[0].cell);
        lesson_show(lesson, s ? "+ @ · @" : "@ = @ · @", s ? m + 1 : m);
    }
    if (p->mb > SHOWN)
        sheet_text(&lesson->sheet, "and so on: %d of %d images are shown.", SHOWN, p->mb);
    sheet_text(&lesson->sheet,
               "$Qᵀ (∂L/∂y)ᵀ$ (explicit-dense) and the gradient of the weights by direct, on integers: %s.",
               lesson_verdict(direct_agrees(lesson, CONV_WEI)));
}

void explain_step(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    struct lesson values = *lesson;
    values.numbers = true;
    sheet_text(&lesson->sheet,
               "The gradient is a row, the weights are a column: hence the transposition. $μ$ is the step "
               "size, here "
               "$μ = %g$%s; laid out as a kernel, with numbers:",
               lesson->lr, p->oc * p->ic > 1 ? ", for output channel 1 and input channel 1" : "");
    struct sheet_matrix step[] = {lesson_cells(p->kh, p->kw), lesson_plane(&values, CONV_WEI, false, 0, 0),
                                  lesson_plane(&values, CONV_WEI, true, 0, 0)};
    for (int k = 0; k < p->kh * p->kw; k++)
        lesson_number(step[0].cell[k], (double)lesson->tensor[CONV_WEI][k] -
                                           lesson->lr * (double)lesson->gradient[CONV_WEI][k]);
    lesson_show(lesson, "@ = @ − μ · @", step);
}
