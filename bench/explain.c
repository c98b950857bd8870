/* `tripass explain`: the three passes of a small layer as matrix products and as convolutions, written out. Nothing
 * here is typed in: a matrix in symbols is what the benchmarked code builds from weights (or inputs) that are numbered
 * 1, 2, 3, ..., each number then shown as the symbol it stands for, and every "equal" has been computed twice.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "complain.h"
#include "explicit/matrix.h"
#include "layers.h"
#include "page.h"
#include "pass.h"
#include "problem_string.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MATRIX_MAX = 128 }; /* rows and columns that can be shown: 8x8 pixels of two channels */

struct lesson {
    struct page page;
    struct conv_problem problem;
    bool numbers;                  /* show values instead of symbols */
    float *tensor[CONV_TENSORS];   /* small integers: src, wei, dst = forward of them */
    float *gradient[CONV_TENSORS]; /* dL/dsrc, dL/dwei, dL/ddst */
};

/* ---- symbols and cells ---- */

static void indexed_name(char *name, const char *letter, const int extent[4], size_t index)
{
    int at[4], length = snprintf(name, PAGE_CELL, "%s_", letter), wide = 0;
    for (int axis = 3; axis >= 0; axis--) {
        at[axis] = (int)(index % (size_t)extent[axis]);
        index /= (size_t)extent[axis];
        wide |= extent[axis] > 9;
    }
    const int first =
        extent[0] > 1 || extent[1] > 1 ? 0 : 2; /* image or channel only where there are several */
    for (int axis = first; axis < 4; axis++)
        length += snprintf(name + length, (size_t)(PAGE_CELL - length), "%s%d",
                           axis > first && (wide || axis == 2 || !first) ? "," : "", at[axis] + 1);
}

/* The course's names: a b c ... for one small image, w11 w12 ... for one kernel, alpha beta ... for its output (without
 * iota and omicron, which look like Latin letters); with indexes where those do not suffice. */
static void symbol_name(char *name, const struct conv_problem *p, enum conv_tensor tensor, size_t index)
{
    static const char *const greek[] = {"α", "β", "γ", "δ", "ε", "ζ", "η", "θ", "κ", "λ", "μ",
                                        "ν", "ξ", "π", "ρ", "σ", "τ", "υ", "φ", "χ", "ψ", "ω"};
    const int extent[CONV_TENSORS][4] = {
        {p->mb, p->ic, p->ih, p->iw}, {p->oc, p->ic, p->kh, p->kw}, {p->mb, p->oc, p->oh, p->ow}};
    static const char *const letter[CONV_TENSORS] = {"x", "w", "y"};
    const size_t elements = conv_elements(p, tensor);
    if (tensor == CONV_SRC && elements <= 26)
        snprintf(name, PAGE_CELL, "%c", (char)('a' + index));
    else if (tensor == CONV_DST && elements <= sizeof greek / sizeof *greek)
        snprintf(name, PAGE_CELL, "%s", greek[index]);
    else
        indexed_name(name, letter[tensor], extent[tensor], index);
}

static struct page_matrix cells_make(int rows, int columns)
{
    return (struct page_matrix){rows, columns,
                                must_allocate(NULL, (size_t)rows * (size_t)columns, PAGE_CELL)};
}

static void number_cell(char *cell, float value)
{
    snprintf(cell, PAGE_CELL, "%s%g", value < 0 ? "−" : "", fabs((double)value));
}

/* The first elements of a tensor, or with a prefix ("∂") of the gradient towards it. */
static struct page_matrix tensor_cells(const struct lesson *lesson, enum conv_tensor tensor, bool gradient,
                                       int rows, int columns)
{
    struct page_matrix m = cells_make(rows, columns);
    for (size_t i = 0; i < (size_t)rows * (size_t)columns; i++) {
        char name[PAGE_CELL];
        symbol_name(name, &lesson->problem, tensor, i);
        if (lesson->numbers)
            number_cell(m.cell[i], (gradient ? lesson->gradient : lesson->tensor)[tensor][i]);
        else
            snprintf(m.cell[i], PAGE_CELL, "%.4s%.30s", gradient ? "∂" : "", name);
    }
    return m;
}

/* A matrix of the explicit family, from its own builder. The values are numbers of elements, 1 ..., so that each
 * entry tells where it came from. */
static struct page_matrix explicit_cells(const struct lesson *lesson, const struct conv_problem *problem,
                                         enum matrix_name which, const float *values)
{
    struct matrix matrix;
    const char *reason = matrix_create(&matrix, problem, which);
    if (reason)
        usage_error("explain: %s", reason);
    const size_t elements = conv_elements(&lesson->problem, matrix.value);
    float *numbered = must_allocate(NULL, elements, sizeof *numbered);
    float *row = must_allocate(NULL, matrix.cols, sizeof *row);
    for (size_t i = 0; i < elements; i++)
        numbered[i] = values ? values[i] : (float)(i + 1);
    struct page_matrix m = cells_make((int)matrix.rows, (int)matrix.cols);
    for (size_t r = 0; r < matrix.rows; r++) {
        matrix_fill_dense(&matrix, r, numbered, row);
        for (size_t c = 0; c < matrix.cols; c++) {
            char *cell = m.cell[r * matrix.cols + c];
            if (row[c] == 0)
                snprintf(cell, PAGE_CELL, "0");
            else if (lesson->numbers)
                number_cell(cell, lesson->tensor[matrix.value][(size_t)row[c] - 1]);
            else
                symbol_name(cell, &lesson->problem, matrix.value, (size_t)row[c] - 1);
        }
    }
    free(numbered);
    free(row);
    matrix_destroy(&matrix);
    return m;
}

static bool cells_equal(const struct page_matrix *a, const struct page_matrix *b)
{
    if (a->rows != b->rows || a->columns != b->columns)
        return false;
    for (int i = 0; i < a->rows * a->columns; i++)
        if (strcmp(a->cell[i], b->cell[i]))
            return false;
    return true;
}

/* Shows matrices with words between them, and frees them. */
static void equation_show(const struct lesson *lesson, int parts, struct page_part *part,
                          struct page_matrix *matrix)
{
    int used = 0;
    for (int i = 0; i < parts; i++)
        if (!part[i].words)
            part[i].matrix = &matrix[used++];
    page_equation(&lesson->page, parts, part);
    while (used)
        free(matrix[--used].cell);
}

/* ---- computing ---- */

/* One pass by one implementation. */
static void compute(const char *impl, const struct conv_problem *problem, enum conv_tensor output,
                    float *const tensor[CONV_TENSORS])
{
    struct pass pass;
    const char *reason = pass_open(&pass, conv_impl_find(impl), problem, output, 1);
    if (reason)
        usage_error("explain: %s cannot do this problem: %s", impl, reason);
    pass_run(&pass, tensor);
    pass_close(&pass);
}

static float *tensor_make(size_t elements)
{
    float *tensor = pass_tensor(elements);
    if (!tensor)
        usage_error("explain: out of memory; try a smaller problem");
    return tensor;
}

/* Small integers, none zero, so that all that follows is exact and nothing vanishes by chance. */
static void tensor_draw(float *tensor, size_t elements, uint64_t *random)
{
    for (size_t i = 0; i < elements; i++)
        tensor[i] = (float)((1 + random_below(random, 3)) * (random_below(random, 2) ? 1 : -1));
}

static void lesson_compute(struct lesson *lesson, uint64_t seed)
{
    uint64_t random = seed;
    const struct conv_problem *p = &lesson->problem;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        lesson->tensor[t] = tensor_make(conv_elements(p, t));
        lesson->gradient[t] = tensor_make(conv_elements(p, t));
    }
    tensor_draw(lesson->tensor[CONV_SRC], conv_elements(p, CONV_SRC), &random);
    tensor_draw(lesson->tensor[CONV_WEI], conv_elements(p, CONV_WEI), &random);
    tensor_draw(lesson->gradient[CONV_DST], conv_elements(p, CONV_DST), &random);
    float *const *x = lesson->tensor, *const *d = lesson->gradient;
    compute("explicit-dense", p, CONV_DST, x);
    compute("explicit-dense", p, CONV_SRC, (float *[]){d[CONV_SRC], x[CONV_WEI], d[CONV_DST]});
    compute("explicit-dense", p, CONV_WEI, (float *[]){x[CONV_SRC], d[CONV_WEI], d[CONV_DST]});
}

static void lesson_free(struct lesson *lesson)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        free(lesson->tensor[t]);
        free(lesson->gradient[t]);
    }
}

static const char *verdict(bool equal)
{
    return equal ? "equal in every entry" : "NOT EQUAL: this is a bug, please report it";
}

/* ---- the chapters ---- */

static void chapter_layer(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    char text[256];
    problem_string_print(p, text, sizeof text);
    page_heading(&lesson->page, "The layer");
    page_text(&lesson->page,
              "%s: %d image(s) of %d channel(s), %d x %d pixels; kernels of %d x %d; %d output channel(s) of "
              "%d x %d. "
              "Cross-correlation throughout (the kernel is not turned in the forward pass).",
              text, p->mb, p->ic, p->ih, p->iw, p->kh, p->kw, p->oc, p->oh, p->ow);
    struct page_matrix m[] = {tensor_cells(lesson, CONV_SRC, false, p->ih, p->iw),
                              tensor_cells(lesson, CONV_WEI, false, p->kh, p->kw),
                              tensor_cells(lesson, CONV_DST, false, p->oh, p->ow)};
    equation_show(lesson, 6, (struct page_part[]){{0, "x = "}, {0}, {0, "   w = "}, {0}, {0, "   y = "}, {0}},
                  m);
    if (p->mb > 1 || p->ic > 1 || p->oc > 1)
        page_text(&lesson->page, "(the first image and channels; the others likewise)");
}

static void chapter_forward(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    const int rows = p->oc * p->oh * p->ow, columns = p->ic * p->ih * p->iw;
    page_heading(&lesson->page, "Forward: y = A x");
    page_text(&lesson->page,
              "Each output pixel is a weighted sum of input pixels, so an image read row by row becomes a "
              "vector and the "
              "layer a matrix with one row per output pixel. A holds the weights, shifted from row to row (a "
              "doubly "
              "blocked Toeplitz matrix), and zeros where a tap does not reach or falls into the padding.%s",
              p->oc > 1 || p->ic > 1 ? " Block (j, i) of A belongs to output channel j and input channel i: "
                                       "y(s,j) = Σ over i of x(s,i) ⋆ w(j,i)."
                                     : "");
    struct page_matrix m[] = {tensor_cells(lesson, CONV_DST, false, rows, 1),
                              explicit_cells(lesson, p, MATRIX_A, NULL),
                              tensor_cells(lesson, CONV_SRC, false, columns, 1)};
    equation_show(lesson, 5, (struct page_part[]){{0}, {0, " = "}, {0}, {0, " · "}, {0}}, m);
    float *again = tensor_make(conv_elements(p, CONV_DST));
    compute("direct", p, CONV_DST, (float *[]){lesson->tensor[CONV_SRC], lesson->tensor[CONV_WEI], again});
    page_text(&lesson->page,
              "As a matrix product (explicit-dense) and as a convolution (direct), on integers: %s.",
              verdict(!memcmp(again, lesson->tensor[CONV_DST], conv_elements(p, CONV_DST) * sizeof *again)));
    free(again);
}

/* The weights with their kernels turned by 180 degrees and their channels exchanged: wei'(i,j) = rot180 wei(j,i). */
static void weights_turn(const struct conv_problem *p, const float *wei, float *turned)
{
    const size_t taps = (size_t)p->kh * (size_t)p->kw;
    for (int oc = 0; oc < p->oc; oc++)
        for (int ic = 0; ic < p->ic; ic++)
            for (size_t k = 0; k < taps; k++)
                turned[((size_t)ic * p->oc + oc) * taps + taps - 1 - k] =
                    wei[((size_t)oc * p->ic + ic) * taps + k];
}

/* The convolution that backward is, for stride 1. */
static struct conv_problem turned_problem(const struct conv_problem *p)
{
    struct conv_problem turned = *p;
    turned.ic = p->oc, turned.ih = p->oh, turned.iw = p->ow;
    turned.oc = p->ic, turned.oh = p->ih, turned.ow = p->iw;
    turned.ph = (p->kh - 1) * (p->dh + 1) - p->ph;
    turned.pw = (p->kw - 1) * (p->dw + 1) - p->pw;
    return turned;
}

static void backward_as_convolution(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem, turned = turned_problem(p);
    if (p->sh > 1 || p->sw > 1 || turned.ph < 0 || turned.pw < 0) {
        page_text(&lesson->page,
                  "With a stride (or more padding than the kernel reaches) it is the convolution of a "
                  "∂L/∂y with zeros between its pixels (or cut at its edges); not written out here.");
        return;
    }
    const size_t weights = conv_elements(p, CONV_WEI);
    float *number = tensor_make(weights), *wei = tensor_make(weights),
          *src = tensor_make(conv_elements(p, CONV_SRC));
    for (size_t i = 0; i < weights; i++)
        wei[i] = (float)(i + 1);
    weights_turn(p, wei, number);
    struct page_matrix transposed = explicit_cells(lesson, p, MATRIX_A_TRANSPOSED, NULL);
    struct page_matrix convolution = explicit_cells(lesson, &turned, MATRIX_A, number);
    page_text(&lesson->page,
              "This is again the matrix of a convolution: that of ∂L/∂y, padded by %d and %d, with the "
              "kernels turned by "
              "180° and the roles of the channels exchanged. Its matrix, built from the turned kernels, and "
              "Aᵀ: %s.",
              turned.ph, turned.pw, verdict(cells_equal(&transposed, &convolution)));
    free(transposed.cell);
    free(convolution.cell);
    struct page_matrix kernel = cells_make(p->kh, p->kw);
    for (int k = 0; k < p->kh * p->kw; k++)
        if (lesson->numbers)
            number_cell(kernel.cell[k], lesson->tensor[CONV_WEI][(size_t)number[k] - 1]);
        else
            symbol_name(kernel.cell[k], p, CONV_WEI, (size_t)number[k] - 1);
    equation_show(lesson, 2, (struct page_part[]){{0, "turned w = "}, {0}}, &kernel);
    weights_turn(p, lesson->tensor[CONV_WEI], wei);
    compute("direct", &turned, CONV_DST, (float *[]){lesson->gradient[CONV_DST], wei, src});
    page_text(&lesson->page, "Aᵀ ∂L/∂y (explicit-dense) and that convolution (direct), on integers: %s.",
              verdict(!memcmp(src, lesson->gradient[CONV_SRC], conv_elements(p, CONV_SRC) * sizeof *src)));
    free(number);
    free(wei);
    free(src);
}

static void chapter_backward(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    page_heading(&lesson->page, "Backward: ∂L/∂x = Aᵀ ∂L/∂y");
    page_text(&lesson->page,
              "From ΔL ≃ ⟨∂L/∂y, Δy⟩ and Δy = A Δx. Below, ∂ before a symbol is short for the derivative of "
              "L by it.%s",
              p->oc > 1 || p->ic > 1
                  ? " By blocks: ∂L/∂x(s,i) = Σ over j of A(j,i)ᵀ ∂L/∂y(s,j), for each image s on its own."
                  : "");
    struct page_matrix m[] = {tensor_cells(lesson, CONV_SRC, true, p->ic * p->ih * p->iw, 1),
                              explicit_cells(lesson, p, MATRIX_A_TRANSPOSED, NULL),
                              tensor_cells(lesson, CONV_DST, true, p->oc * p->oh * p->ow, 1)};
    equation_show(lesson, 5, (struct page_part[]){{0}, {0, " = "}, {0}, {0, " · "}, {0}}, m);
    backward_as_convolution(lesson);
}

/* dw(j,i) = sum_s dy(s,j) x src(s,i): a convolution whose images are the input channels, whose channels are the
 * images, and whose kernel is dL/dy (stride and dilation exchanged). */
static bool update_as_convolution(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    struct conv_problem large = *p;
    large.mb = p->ic, large.ic = p->mb;
    large.kh = p->oh, large.kw = p->ow, large.oh = p->kh, large.ow = p->kw;
    large.sh = p->dh + 1, large.sw = p->dw + 1, large.dh = p->sh - 1, large.dw = p->sw - 1;
    const size_t in = (size_t)p->ih * p->iw, out = (size_t)p->oh * p->ow, taps = (size_t)p->kh * p->kw;
    float *src = tensor_make(conv_elements(p, CONV_SRC)), *dst = tensor_make(conv_elements(p, CONV_DST)),
          *wei = tensor_make(conv_elements(p, CONV_WEI));
    for (int s = 0; s < p->mb; s++) {
        for (int i = 0; i < p->ic; i++)
            memcpy(src + (i * p->mb + s) * in, lesson->tensor[CONV_SRC] + (s * p->ic + i) * in,
                   in * sizeof *src);
        for (int j = 0; j < p->oc; j++)
            memcpy(dst + (j * p->mb + s) * out, lesson->gradient[CONV_DST] + (s * p->oc + j) * out,
                   out * sizeof *dst);
    }
    compute("direct", &large, CONV_DST, (float *[]){src, dst, wei});
    bool equal = true;
    for (int j = 0; j < p->oc; j++)
        for (int i = 0; i < p->ic; i++)
            equal = equal && !memcmp(wei + (i * p->oc + j) * taps,
                                     lesson->gradient[CONV_WEI] + (j * p->ic + i) * taps, taps * sizeof *wei);
    free(src);
    free(dst);
    free(wei);
    return equal;
}

/* The first image with its zero padding. */
static struct page_matrix padded_cells(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    const int rows = (p->oh - 1) * p->sh + (p->kh - 1) * (p->dh + 1) + 1;
    const int columns = (p->ow - 1) * p->sw + (p->kw - 1) * (p->dw + 1) + 1;
    struct page_matrix image = tensor_cells(lesson, CONV_SRC, false, p->ih, p->iw),
                       m = cells_make(rows, columns);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            const int h = r - p->ph, w = c - p->pw;
            const bool inside = h >= 0 && h < p->ih && w >= 0 && w < p->iw;
            strcpy(m.cell[r * columns + c], inside ? image.cell[h * p->iw + w] : "0");
        }
    free(image.cell);
    return m;
}

static void chapter_update(const struct lesson *lesson, double lr)
{
    const struct conv_problem *p = &lesson->problem;
    const int taps = p->ic * p->kh * p->kw, pixels = p->oh * p->ow;
    page_heading(&lesson->page, "The same forward pass: y = Q m");
    page_text(&lesson->page,
              "Read as a function of the weights, each output pixel is a weighted sum of weights: m is the "
              "kernel read row by row, and Q holds the inputs (im2col).%s",
              p->oc > 1 || p->mb > 1 ? " Shown for output channel 1 and image 1." : "");
    struct page_matrix forward[] = {tensor_cells(lesson, CONV_DST, false, pixels, 1),
                                    explicit_cells(lesson, p, MATRIX_Q, NULL),
                                    tensor_cells(lesson, CONV_WEI, false, taps, 1)};
    equation_show(lesson, 5, (struct page_part[]){{0}, {0, " = "}, {0}, {0, " · "}, {0}}, forward);

    page_heading(&lesson->page, "Weight update: ∂L/∂m = Qᵀ ∂L/∂y");
    struct page_matrix update[] = {tensor_cells(lesson, CONV_WEI, true, taps, 1),
                                   explicit_cells(lesson, p, MATRIX_Q_TRANSPOSED, NULL),
                                   tensor_cells(lesson, CONV_DST, true, pixels, 1)};
    equation_show(
        lesson, 5,
        (struct page_part[]){{0}, {0, p->mb > 1 ? " = Σ over images of " : " = "}, {0}, {0, " · "}, {0}},
        update);
    page_text(&lesson->page,
              "It is a large convolution: the padded input, correlated with ∂L/∂y as the kernel%s. "
              "Both computed on integers (explicit-dense and direct): %s.",
              p->mb > 1 ? ", summed over the images: ∂L/∂w(j,i) = Σ over s of ∂L/∂y(s,j) ⋆ x(s,i)" : "",
              verdict(update_as_convolution(lesson)));
    struct page_matrix large[] = {tensor_cells(lesson, CONV_WEI, true, p->kh, p->kw), padded_cells(lesson),
                                  tensor_cells(lesson, CONV_DST, true, p->oh, p->ow)};
    equation_show(lesson, 5, (struct page_part[]){{0}, {0, " = "}, {0}, {0, " ⋆ "}, {0}}, large);

    page_text(&lesson->page, "The step: w ← w − μ ∂L/∂w, here with μ = %g:", lr);
    struct lesson values = *lesson;
    values.numbers = true;
    struct page_matrix step[] = {cells_make(p->kh, p->kw),
                                 tensor_cells(&values, CONV_WEI, false, p->kh, p->kw),
                                 tensor_cells(&values, CONV_WEI, true, p->kh, p->kw)};
    for (int k = 0; k < p->kh * p->kw; k++)
        number_cell(step[0].cell[k], lesson->tensor[CONV_WEI][k] - (float)lr * lesson->gradient[CONV_WEI][k]);
    equation_show(lesson, 5, (struct page_part[]){{0}, {0, " ← "}, {0}, {0, " − μ · "}, {0}}, step);
}

static void size_check(const struct conv_problem *p)
{
    const double rows = (double)p->oc * p->oh * p->ow, columns = (double)p->ic * p->ih * p->iw;
    const double largest = fmax(fmax(rows, columns), (double)p->ic * p->kh * p->kw);
    if (p->g > 1)
        usage_error("explain: this problem has groups: each group is a layer of its own; try it without g%d",
                    p->g);
    if (largest > MATRIX_MAX)
        usage_error(
            "explain: A would be %.0f x %.0f: %.3g times the %d rows and columns that can be shown; try a "
            "smaller image or fewer channels",
            rows, columns, largest / MATRIX_MAX, MATRIX_MAX);
}

int command_explain(struct options *options, int argc, char **argv)
{
    (void)argc, (void)argv;
    if (options->problem_count != 1)
        usage_error("explain: %d problems given; try tripass explain mb1ic1ih3oc1kh3ph1",
                    options->problem_count);
    const struct layers layers = layers_select(options);
    struct lesson lesson = {
        {stdout, options->explain.format}, layers.layer[0].problem, options->explain.numbers, {NULL}, {NULL}};
    size_check(&lesson.problem);
    lesson_compute(&lesson, options->study.seed);
    page_begin(&lesson.page, "A convolution layer and its gradients, as matrices");
    chapter_layer(&lesson);
    chapter_forward(&lesson);
    chapter_backward(&lesson);
    chapter_update(&lesson, options->study.lr);
    explain_winograd(&lesson.page, options->study.seed);
    page_end(&lesson.page);
    lesson_free(&lesson);
    free(layers.layer);
    return EXIT_ALL_GOOD;
}
