/* The parts of `explain` on the gradients as convolutions, in pictures. What is shown is what is computed: the padded image
 * of a picture is handed to `direct` as a convolution without padding. SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 8 }; /* pictures of a problem with many channels and images */

/* ---- backward ---- */

/* The weights with their kernels turned by 180 degrees and their channels exchanged: wei'(i,j) = rot180 wei(j,i). */
static float *weights_turned(const struct conv_problem *p, const float *wei)
{
    const size_t taps = (size_t)p->kh * (size_t)p->kw;
    float *turned = lesson_zeros(conv_elements(p, CONV_WEI));
    for (int oc = 0; oc < p->oc; oc++)
        for (int ic = 0; ic < p->ic; ic++)
            for (size_t k = 0; k < taps; k++)
                turned[((size_t)ic * p->oc + oc) * taps + taps - 1 - k] =
                    wei[((size_t)oc * p->ic + ic) * taps + k];
    return turned;
}

/* The convolution that backward is: of dL/dy with its zeros, without padding and with stride 1. */
static struct conv_problem turned_problem(const struct conv_problem *p)
{
    struct conv_problem turned = *p;
    turned.ic = p->oc, turned.oc = p->ic, turned.oh = p->ih, turned.ow = p->iw;
    turned.ih = p->ih + (p->kh - 1) * (p->dh + 1), turned.iw = p->iw + (p->kw - 1) * (p->dw + 1);
    turned.sh = turned.sw = 1, turned.ph = turned.pw = 0;
    return turned;
}

/* Where output pixel o stands in the picture, along h or w: behind the zeros before, with stride - 1 zeros between. It is
 * outside where it meets padding alone. */
static int place_h(const struct conv_problem *p, int o)
{
    return o * p->sh + (p->kh - 1) * (p->dh + 1) - p->ph;
}

static int place_w(const struct conv_problem *p, int o)
{
    return o * p->sw + (p->kw - 1) * (p->dw + 1) - p->pw;
}

/* The place of output pixel k within a plane of the picture, or -1 outside. */
static int place_of(const struct conv_problem *p, const struct conv_problem *picture, int k)
{
    const int h = place_h(p, k / p->ow), w = place_w(p, k % p->ow);
    return h >= 0 && h < picture->ih && w >= 0 && w < picture->iw ? h * picture->iw + w : -1;
}

/* All planes of dst, each spread over its picture. */
static float *dst_spread(const struct conv_problem *p, const struct conv_problem *picture, const float *dst)
{
    float *spread = lesson_zeros(conv_elements(picture, CONV_SRC));
    const int pixels = p->oh * p->ow, places = picture->ih * picture->iw;
    for (int plane = 0; plane < p->mb * p->oc; plane++)
        for (int k = 0; k < pixels; k++)
            if (place_of(p, picture, k) >= 0)
                spread[plane * places + place_of(p, picture, k)] = dst[plane * pixels + k];
    return spread;
}

/* A^T, and the matrix of the convolution in the picture without the columns of its zeros. */
static bool matrices_agree(const struct conv_problem *p, const struct conv_problem *picture)
{
    int rows, columns, all_rows, all_columns;
    float *number = lesson_counted(conv_elements(p, CONV_WEI)), *turned = weights_turned(p, number);
    float *transposed = lesson_explicit_numbers(p, MATRIX_A_TRANSPOSED, number, &rows, &columns);
    float *convolution = lesson_explicit_numbers(picture, MATRIX_A, turned, &all_rows, &all_columns);
    const int pixels = p->oh * p->ow, places = picture->ih * picture->iw;
    bool agree = rows == all_rows;
    for (int c = 0; c < columns; c++) {
        const int place = place_of(p, picture, c % pixels), column = c / pixels * places + place;
        for (int r = 0; r < rows && agree; r++)
            agree = transposed[r * columns + c] == (place < 0 ? 0 : convolution[r * all_columns + column]);
    }
    free(number);
    free(turned);
    free(transposed);
    free(convolution);
    return agree;
}

/* The picture of plane (s, j) of dL/dy, with zeros for the rest. */
static struct sheet_matrix spread_cells(const struct lesson *lesson, const struct conv_problem *picture,
                                        int s, int j)
{
    const struct conv_problem *p = &lesson->problem;
    struct sheet_matrix dy = lesson_plane(lesson, CONV_DST, true, s, j),
                        m = lesson_cells(picture->ih, picture->iw);
    for (int i = 0; i < m.rows * m.columns; i++)
        strcpy(m.cell[i], "0");
    for (int k = 0; k < p->oh * p->ow; k++)
        if (place_of(p, picture, k) >= 0)
            strcpy(m.cell[place_of(p, picture, k)], dy.cell[k]);
    free(dy.cell);
    return m;
}

/* dx(s,i) = sum over j of the picture of dy(s,j) and the turned kernel (j,i). */
static void backward_show(const struct lesson *lesson, const struct conv_problem *picture, int s, int i)
{
    const struct conv_problem *p = &lesson->problem;
    const int taps = p->kh * p->kw;
    float *number = lesson_counted(conv_elements(p, CONV_WEI)), *turned = weights_turned(p, number);
    for (int j = 0; j < p->oc; j++) {
        struct sheet_matrix m[] = {
            {0},
            spread_cells(lesson, picture, s, j),
            lesson_numbered(lesson, CONV_WEI, turned + (i * p->oc + j) * taps, p->kh, p->kw)};
        if (j == 0)
            m[0] = lesson_plane(lesson, CONV_SRC, true, s, i);
        lesson_show(lesson, j ? "  + @ ⋆ @" : "@ = @ ⋆ @", j ? m + 1 : m);
    }
    free(number);
    free(turned);
}

static void zeros_text(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    const int above = place_h(p, 0), left = place_w(p, 0);
    if (p->sh > 1 || p->sw > 1)
        sheet_text(&lesson->sheet,
                   "Between the pixels of $∂L/∂y$ there are zeros, one less than the stride of %s: a "
                   "transposed convolution.",
                   lesson_both(p->sh, p->sw));
    if (above < 0 || left < 0)
        sheet_text(&lesson->sheet, "Outer pixels of $∂L/∂y$ that saw nothing but padding are left out.");
    else
        sheet_text(&lesson->sheet,
                   "Around it there are zeros, %d above and %d to the left: the kernel's reach less the "
                   "padding of the forward pass.",
                   above, left);
    if (p->dh || p->dw)
        sheet_text(&lesson->sheet,
                   "The kernel keeps its dilation: the pixels between its taps, %s, are skipped.",
                   lesson_both(p->dh, p->dw));
}

void explain_picture(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem, picture = turned_problem(p);
    const bool several = p->ic * p->oc * p->mb > 1;
    sheet_text(&lesson->sheet,
               "$Aᵀ$ is again the matrix of a convolution: the kernel is turned by $180°$ and slides with "
               "stride 1 over $∂L/∂y$ with zeros around it%s.",
               several ? "; input and output channels change places" : "");
    zeros_text(lesson);
    float *turned = weights_turned(p, lesson->tensor[CONV_WEI]);
    float *number = lesson_counted(conv_elements(p, CONV_WEI)), *turned_number = weights_turned(p, number);
    lesson_show(lesson, several ? "turned w(1,1) = @" : "turned w = @",
                (struct sheet_matrix[]){lesson_numbered(lesson, CONV_WEI, turned_number, p->kh, p->kw)});
    sheet_text(&lesson->sheet,
               several ? "$∂L/∂x(s,i)$ is a sum over the output channels $j$; here $s = 1$, $i = 1$:"
                       : "$∂L/∂x$, $∂L/∂y$ with its zeros, and the turned kernel:");
    backward_show(lesson, &picture, 0, 0);
    int shown = 1;
    for (int s = 0; s < p->mb; s++)
        for (int i = 0; i < p->ic; i++)
            if ((s || i) && shown++ < SHOWN) {
                sheet_text(&lesson->sheet, "$s = %d$, $i = %d$:", s + 1, i + 1);
                backward_show(lesson, &picture, s, i);
            }
    if (p->mb * p->ic > SHOWN)
        sheet_text(&lesson->sheet, "and so on: %d of %d are shown.", SHOWN, p->mb * p->ic);
    float *spread = dst_spread(p, &picture, lesson->gradient[CONV_DST]),
          *dx = lesson_zeros(conv_elements(p, CONV_SRC));
    lesson_compute("direct", &picture, CONV_DST, (float *[]){spread, turned, dx});
    sheet_text(&lesson->sheet,
               "The matrix of this convolution, without the columns that meet only its zeros, and $Aᵀ$: %s.",
               lesson_verdict(matrices_agree(p, &picture)));
    sheet_text(&lesson->sheet,
               "The convolution in the picture (direct) and $Aᵀ (∂L/∂y)ᵀ$ (explicit-dense), on integers: %s.",
               lesson_verdict(lesson_same(dx, lesson->gradient[CONV_SRC], conv_elements(p, CONV_SRC))));
    float *all[] = {turned, number, turned_number, spread, dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* ---- gradient of the weights ---- */

/* dw(j,i) = sum_s dy(s,j) x src(s,i): a convolution whose images are the input channels, whose channels are the
 * images, and whose kernel is dL/dy (stride and dilation exchanged). The picture is the padded image, so it has no padding. */
static struct conv_problem large_problem(const struct conv_problem *p)
{
    struct conv_problem large = *p;
    large.mb = p->ic, large.ic = p->mb;
    large.ih = (p->oh - 1) * p->sh + (p->kh - 1) * (p->dh + 1) + 1;
    large.iw = (p->ow - 1) * p->sw + (p->kw - 1) * (p->dw + 1) + 1;
    large.kh = p->oh, large.kw = p->ow, large.oh = p->kh, large.ow = p->kw;
    large.sh = p->dh + 1, large.sw = p->dw + 1, large.dh = p->sh - 1, large.dw = p->sw - 1;
    large.ph = large.pw = 0;
    return large;
}

/* Pixel (r, c) of the padded image is this one of the image, or -1. */
static int image_place(const struct conv_problem *p, int r, int c)
{
    const int h = r - p->ph, w = c - p->pw;
    return h >= 0 && h < p->ih && w >= 0 && w < p->iw ? h * p->iw + w : -1;
}

static struct sheet_matrix padded_cells(const struct lesson *lesson, const struct conv_problem *large, int s,
                                        int i)
{
    struct sheet_matrix image = lesson_plane(lesson, CONV_SRC, false, s, i),
                        m = lesson_cells(large->ih, large->iw);
    for (int k = 0; k < m.rows * m.columns; k++) {
        const int place = image_place(&lesson->problem, k / large->iw, k % large->iw);
        strcpy(m.cell[k], place < 0 ? "0" : image.cell[place]);
    }
    free(image.cell);
    return m;
}

static bool large_agrees(const struct lesson *lesson, const struct conv_problem *large)
{
    const struct conv_problem *p = &lesson->problem;
    const int places = large->ih * large->iw, in = p->ih * p->iw, out = p->oh * p->ow, taps = p->kh * p->kw;
    float *src = lesson_zeros(conv_elements(large, CONV_SRC)),
          *dst = lesson_zeros(conv_elements(p, CONV_DST)), *wei = lesson_zeros(conv_elements(p, CONV_WEI));
    for (int s = 0; s < p->mb; s++) {
        for (int k = 0; k < p->ic * places; k++) {
            const int i = k / places, place = image_place(p, k % places / large->iw, k % large->iw);
            if (place >= 0)
                src[(i * p->mb + s) * places + k % places] =
                    lesson->tensor[CONV_SRC][(s * p->ic + i) * in + place];
        }
        for (int j = 0; j < p->oc; j++)
            memcpy(dst + (j * p->mb + s) * out, lesson->gradient[CONV_DST] + (s * p->oc + j) * out,
                   (size_t)out * sizeof *dst);
    }
    lesson_compute("direct", large, CONV_DST, (float *[]){src, dst, wei});
    bool equal = true;
    for (int j = 0; j < p->oc; j++)
        for (int i = 0; i < p->ic; i++)
            equal = equal && lesson_same(wei + (i * p->oc + j) * taps,
                                         lesson->gradient[CONV_WEI] + (j * p->ic + i) * taps, (size_t)taps);
    free(src);
    free(dst);
    free(wei);
    return equal;
}

void explain_large(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem, large = large_problem(p);
    const bool several = p->ic * p->oc * p->mb > 1;
    sheet_text(&lesson->sheet,
               "The input with its zero padding, $%d × %d$, is correlated with $∂L/∂y$, $%d × %d$, as the "
               "kernel. The "
               "result has the size of the kernel, $%d × %d$: a large convolution with a small result.%s",
               large.ih, large.iw, p->oh, p->ow, p->kh, p->kw,
               several ? " $∂L/∂w(j,i) = Σ_s ∂L/∂y(s,j) ⋆ x(s,i)$." : "");
    if (p->sh > 1 || p->sw > 1)
        sheet_text(
            &lesson->sheet,
            "The forward stride becomes a dilation: neighbors in $∂L/∂y$ meet pixels of the input that "
            "are %s apart.",
            lesson_both(p->sh, p->sw));
    if (p->dh > 0 || p->dw > 0)
        sheet_text(&lesson->sheet, "The forward dilation becomes a stride: $∂L/∂y$ moves on by %s.",
                   lesson_both(p->dh + 1, p->dw + 1));
    int shown = 0;
    for (int j = 0; j < p->oc; j++)
        for (int i = 0; i < p->ic; i++)
            for (int s = 0; s < p->mb && shown < SHOWN; s++, shown++) {
                struct sheet_matrix m[] = {
                    {0}, padded_cells(lesson, &large, s, i), lesson_plane(lesson, CONV_DST, true, s, j)};
                if (s == 0)
                    m[0] = lesson_plane(lesson, CONV_WEI, true, j, i);
                if (several && s == 0)
                    sheet_text(&lesson->sheet, "$j = %d$, $i = %d$:", j + 1, i + 1);
                lesson_show(lesson, s ? "  + @ ⋆ @" : "@ = @ ⋆ @", s ? m + 1 : m);
            }
    if (shown < p->oc * p->ic * p->mb)
        sheet_text(&lesson->sheet, "and so on: %d of %d products are shown.", shown, p->oc * p->ic * p->mb);
    sheet_text(&lesson->sheet,
               "This convolution (direct) and $Qᵀ (∂L/∂y)ᵀ$ (explicit-dense), on integers: %s.",
               lesson_verdict(large_agrees(lesson, &large)));
}
