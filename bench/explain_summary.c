/* The last of `explain`: the three passes in one drawing. SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

/* Sizes in the boxes: channels (or kernels) and the plane. */
enum { SIZE = 48, BOXES = 6 };

static void size_print(char to[SIZE], int planes, int h, int w)
{
    if (planes > 1)
        snprintf(to, SIZE, "%d of %d × %d", planes, h, w);
    else
        snprintf(to, SIZE, "%d × %d", h, w);
}

void explain_summary(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    const int reach_h = (p->kh - 1) * (p->dh + 1), reach_w = (p->kw - 1) * (p->dw + 1);
    const int padded_h = (p->oh - 1) * p->sh + reach_h + 1, padded_w = (p->ow - 1) * p->sw + reach_w + 1;
    char x[SIZE], w[SIZE], y[SIZE], dy_padded[SIZE], x_padded[SIZE];
    size_print(x, p->mb * p->ic, p->ih, p->iw);
    size_print(w, p->oc * p->ic, p->kh, p->kw);
    size_print(y, p->mb * p->oc, p->oh, p->ow);
    size_print(x_padded, p->mb * p->ic, padded_h, padded_w);
    size_print(dy_padded, p->mb * p->oc, p->ih + reach_h, p->iw + reach_w);
    sheet_text(&lesson->sheet,
               "Forward is a convolution, backward a transposed convolution, the weight update a large "
               "convolution. The sizes are those of this problem; padded means with zeros around (and, "
               "where the stride asks for them, between):");
    const struct sheet_box drawing[3][BOXES] = {
        {{"FW", NULL}, {"x padded", x_padded}, {"⋆", NULL}, {"w", w}, {"=", NULL}, {"y", y}},
        {{"BW", NULL}, {"∂L/∂y padded", dy_padded}, {"⋆", NULL}, {"turned w", w}, {"=", NULL}, {"∂L/∂x", x}},
        {{"UPD", NULL}, {"x padded", x_padded}, {"⋆", NULL}, {"∂L/∂y", y}, {"=", NULL}, {"∂L/∂w", w}},
    };
    sheet_drawing(&lesson->sheet, 3, BOXES, drawing[0]);
    sheet_derivation(
        &lesson->sheet, 4,
        (struct sheet_step[]){
            {"y(s,j) = Σ_i x(s,i) ⋆ w(j,i)", "FW, a convolution; $y = A x = Q m$"},
            {"∂L/∂x(s,i) = Σ_j ∂L/∂y(s,j) ⋆ turned w(j,i)",
             "BW, a transposed convolution; $∂L/∂x = ∂L/∂y · A$"},
            {"∂L/∂w(j,i) = Σ_s ∂L/∂y(s,j) ⋆ x(s,i)", "UPD, a large convolution; $∂L/∂m = ∂L/∂y · Q$"},
            {"m ← m − μ (∂L/∂m)ᵀ", "and the step"},
        });
    sheet_text(&lesson->sheet,
               "Each of the three takes %.0f multiplications (images × input channels × output channels × "
               "output pixels × "
               "taps, those by zeros of the padding included). An entry of the result sums up to %.0f "
               "products in FW, %.0f "
               "in BW and %.0f in UPD.",
               conv_flop_nominal(p) / 2, conv_reduction(p, CONV_DST), conv_reduction(p, CONV_SRC),
               conv_reduction(p, CONV_WEI));
}
