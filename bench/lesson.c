/* See lesson.h. A matrix in symbols is what the benchmarked code builds from elements that are numbered 1, 2, 3, ..., each
 * number then shown as the symbol it stands for. SPDX-License-Identifier: Apache-2.0 */
#include "lesson.h"

#include "complain.h"
#include "pass.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

float *lesson_zeros(size_t elements)
{
    float *tensor = pass_tensor(elements);
    if (!tensor)
        usage_error("explain: out of memory; try a smaller problem");
    return tensor;
}

float *lesson_counted(size_t elements)
{
    float *tensor = lesson_zeros(elements);
    for (size_t i = 0; i < elements; i++)
        tensor[i] = (float)(i + 1);
    return tensor;
}

void lesson_draw(float *tensor, size_t elements, uint64_t *random)
{
    for (size_t i = 0; i < elements; i++)
        tensor[i] = (float)((1 + random_below(random, 3)) * (random_below(random, 2) ? 1 : -1));
}

void lesson_compute(const char *impl, const struct conv_problem *problem, enum conv_tensor output,
                    float *const tensor[CONV_TENSORS])
{
    struct pass pass;
    const char *reason = pass_open(&pass, conv_impl_find(impl), problem, output, 1);
    if (reason)
        usage_error("explain: %s cannot do this problem: %s", impl, reason);
    pass_run(&pass, tensor);
    pass_close(&pass);
}

bool lesson_same(const float *a, const float *b, size_t elements)
{
    for (size_t i = 0; i < elements; i++)
        if (!(a[i] == b[i]))
            return false;
    return true;
}

const char *lesson_verdict(bool equal)
{
    return equal ? "equal in every entry" : "NOT EQUAL: this is a bug, please report it";
}

struct lesson lesson_open(const struct lesson *like, const struct conv_problem *p)
{
    struct lesson lesson = *like;
    uint64_t random = like->seed;
    lesson.problem = *p;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        lesson.tensor[t] = lesson_zeros(conv_elements(p, t));
        lesson.gradient[t] = lesson_zeros(conv_elements(p, t));
    }
    float *const *x = lesson.tensor, *const *d = lesson.gradient;
    lesson_draw(x[CONV_SRC], conv_elements(p, CONV_SRC), &random);
    lesson_draw(x[CONV_WEI], conv_elements(p, CONV_WEI), &random);
    lesson_draw(d[CONV_DST], conv_elements(p, CONV_DST), &random);
    lesson_compute("explicit-dense", p, CONV_DST, x);
    lesson_compute("explicit-dense", p, CONV_SRC, (float *[]){d[CONV_SRC], x[CONV_WEI], d[CONV_DST]});
    lesson_compute("explicit-dense", p, CONV_WEI, (float *[]){x[CONV_SRC], d[CONV_WEI], d[CONV_DST]});
    return lesson;
}

void lesson_close(struct lesson *lesson)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        free(lesson->tensor[t]);
        free(lesson->gradient[t]);
    }
}

/* ---- symbols ---- */

/* Indexes of a pair of axes, from 1: "12", or "1,12" where one of them may have two digits. */
static int pair_print(char *to, const int extent[2], const int at[2])
{
    const char *between = extent[0] > 9 || extent[1] > 9 ? "," : "";
    return snprintf(to, SHEET_CELL / 2, "%d%s%d", at[0] + 1, between, at[1] + 1);
}

/* The pair of image and channel (of weights: output and input channel) is there where there are several, that of the pixel
 * or tap where its plane has several: w_12,33 has output channel 1, input channel 2 and the tap in the third row and column.
 * Where there is one image, its channel stands alone. */
static void indexed_name(char *name, const char *letter, const int extent[4], bool one_image, size_t index)
{
    int at[4], length = snprintf(name, SHEET_CELL, "%s_", letter);
    for (int axis = 3; axis >= 0; axis--) {
        at[axis] = (int)(index % (size_t)extent[axis]);
        index /= (size_t)extent[axis];
    }
    const bool channels = extent[0] > 1 || extent[1] > 1, pixels = extent[2] > 1 || extent[3] > 1;
    if ((channels || !pixels) && one_image)
        length += snprintf(name + length, SHEET_CELL / 2, "%d", at[1] + 1);
    else if (channels || !pixels)
        length += pair_print(name + length, extent, at);
    if (channels && pixels)
        length += snprintf(name + length, (size_t)(SHEET_CELL - length), ",");
    if (pixels)
        pair_print(name + length, extent + 2, at + 2);
}

/* The course's names for one small image: a b c ... for its pixels, alpha beta ... for those of the output (without iota
 * and omicron, which look like Latin letters). */
void lesson_symbol(char cell[SHEET_CELL], const struct conv_problem *p, enum conv_tensor tensor, size_t index)
{
    static const char *const latin[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    static const char *const greek[] = {"α", "β", "γ", "δ", "ε", "ζ", "η", "θ", "κ"};
    static const char *const letter[CONV_TENSORS] = {"x", "w", "y"};
    enum { LETTERS = sizeof latin / sizeof *latin };
    int extent[4];
    conv_extents(p, tensor, extent);
    if (tensor != CONV_WEI && extent[0] * extent[1] == 1 && conv_elements(p, tensor) <= LETTERS)
        snprintf(cell, SHEET_CELL, "%s", (tensor == CONV_SRC ? latin : greek)[index]);
    else
        indexed_name(cell, letter[tensor], extent, tensor != CONV_WEI && p->mb == 1, index);
}

/* ---- cells ---- */

struct sheet_matrix lesson_cells(int rows, int columns)
{
    return (struct sheet_matrix){
        .rows = rows,
        .columns = columns,
        .cell = must_allocate(NULL, (size_t)rows * (size_t)columns, SHEET_CELL),
    };
}

void lesson_number(char cell[SHEET_CELL], double value)
{
    const bool whole = value == floor(value) && fabs(value) < 1e9;
    snprintf(cell, SHEET_CELL, whole ? "%s%.0f" : "%s%.4g", value < 0 ? "−" : "", fabs(value));
}

struct sheet_matrix lesson_tensor(const struct lesson *lesson, enum conv_tensor tensor, bool gradient,
                                  size_t first, int rows, int columns)
{
    struct sheet_matrix m = lesson_cells(rows, columns);
    for (size_t i = 0; i < (size_t)rows * (size_t)columns; i++) {
        char name[SHEET_CELL];
        lesson_symbol(name, &lesson->problem, tensor, first + i);
        if (lesson->numbers)
            lesson_number(m.cell[i], (gradient ? lesson->gradient : lesson->tensor)[tensor][first + i]);
        else
            snprintf(m.cell[i], SHEET_CELL, "%s%.40s", gradient ? "∂" : "", name);
    }
    return m;
}

size_t lesson_pixels(const struct conv_problem *p, enum conv_tensor tensor)
{
    int extent[4];
    conv_extents(p, tensor, extent);
    return (size_t)extent[2] * (size_t)extent[3];
}

struct sheet_matrix lesson_plane(const struct lesson *lesson, enum conv_tensor tensor, bool gradient, int a,
                                 int b)
{
    int extent[4];
    conv_extents(&lesson->problem, tensor, extent);
    const size_t first = (size_t)(a * extent[1] + b) * lesson_pixels(&lesson->problem, tensor);
    return lesson_tensor(lesson, tensor, gradient, first, extent[2], extent[3]);
}

struct sheet_matrix lesson_numbered(const struct lesson *lesson, enum conv_tensor tensor, const float *number,
                                    int rows, int columns)
{
    struct sheet_matrix m = lesson_cells(rows, columns);
    for (int i = 0; i < rows * columns; i++)
        if (number[i] == 0)
            snprintf(m.cell[i], SHEET_CELL, "0");
        else if (lesson->numbers)
            lesson_number(m.cell[i], lesson->tensor[tensor][(size_t)number[i] - 1]);
        else
            lesson_symbol(m.cell[i], &lesson->problem, tensor, (size_t)number[i] - 1);
    return m;
}

float *lesson_explicit_numbers(const struct conv_problem *problem, enum matrix_name which,
                               const float *values, int *rows, int *columns)
{
    struct matrix matrix;
    const char *reason = matrix_create(&matrix, problem, which);
    if (reason)
        usage_error("explain: %s", reason);
    float *dense = lesson_zeros(matrix.rows * matrix.cols);
    for (size_t r = 0; r < matrix.rows; r++)
        matrix_fill_dense(&matrix, r, values, dense + r * matrix.cols);
    *rows = (int)matrix.rows, *columns = (int)matrix.cols;
    matrix_destroy(&matrix);
    return dense;
}

struct sheet_matrix lesson_explicit(const struct lesson *lesson, enum matrix_name which, size_t first)
{
    const struct conv_problem *p = &lesson->problem;
    const bool of_weights = which == MATRIX_A || which == MATRIX_A_TRANSPOSED;
    const enum conv_tensor value = of_weights ? CONV_WEI : CONV_SRC,
                           across = of_weights ? CONV_SRC : CONV_WEI;
    const int block = (int)lesson_pixels(p, across), out = (int)lesson_pixels(p, CONV_DST);
    int rows, columns;
    float *numbered = lesson_counted(conv_elements(p, value));
    float *number = lesson_explicit_numbers(p, which, numbered + first, &rows, &columns);
    struct sheet_matrix m = lesson_numbered(lesson, value, number, rows, columns);
    const bool transposed = which == MATRIX_A_TRANSPOSED || which == MATRIX_Q_TRANSPOSED;
    if (block > 1 || out > 1) { /* blocks of single entries need no borders */
        m.row_block = transposed ? block : out;
        m.column_block = transposed ? out : block;
    }
    free(numbered);
    free(number);
    return m;
}

void lesson_show(const struct lesson *lesson, const char *equation, struct sheet_matrix *matrix)
{
    enum { PARTS = 64, WORDS = 64 };
    struct sheet_part part[PARTS] = {{NULL, NULL}};
    char words[PARTS][WORDS];
    int parts = 0, used = 0;
    while (*equation && parts < PARTS) {
        const size_t length = strcspn(equation, "@");
        snprintf(words[parts], WORDS, "%.*s", (int)length, equation);
        part[parts] =
            length ? (struct sheet_part){NULL, words[parts]} : (struct sheet_part){&matrix[used++], NULL};
        parts++;
        equation += length ? length : 1;
    }
    sheet_equation(&lesson->sheet, parts, part);
    while (used)
        free(matrix[--used].cell);
}

enum { BUFFERS = 8, BUFFER = 64 };

static char *next_buffer(void)
{
    static char text[BUFFERS][BUFFER];
    static int next;
    next = (next + 1) % BUFFERS;
    return text[next];
}

const char *lesson_count(int count, const char *noun)
{
    char *text = next_buffer();
    snprintf(text, BUFFER, "%d %s%s", count, noun, count == 1 ? "" : "s");
    return text;
}

const char *lesson_both(int h, int w)
{
    char *text = next_buffer();
    snprintf(text, BUFFER, h == w ? "%d" : "%d and %d", h, w);
    return text;
}
