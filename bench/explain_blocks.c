/* The part of `explain` on several channels and images: block matrices, and each sum written out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include <stdlib.h>
#include <string.h>

/* Sums of a kind are written out in at most so many lines, of so many bytes and characters. */
enum { LINES = 24, LINE = 256, LINE_WIDTH = 76, WORDS = 128 };

const char *explain_blocks_refuse(const struct conv_problem *p)
{
    return p->mb * p->ic * p->oc == 1 ? "it has one channel and one image" : NULL;
}

static void block_name(char cell[SHEET_CELL], const char *format, int a, int b, bool wide)
{
    char pair[SHEET_CELL / 2];
    snprintf(pair, sizeof pair, "%d%s%d", a + 1, wide ? "," : "", b + 1);
    snprintf(cell, SHEET_CELL, format, pair);
}

/* A_ji in row j and column i, or with `transposed` in row i and column j. */
static struct sheet_matrix blocks_of(const struct conv_problem *p, bool transposed)
{
    const bool wide = p->oc > 9 || p->ic > 9;
    struct sheet_matrix m = transposed ? lesson_cells(p->ic, p->oc) : lesson_cells(p->oc, p->ic);
    for (int j = 0; j < p->oc; j++)
        for (int i = 0; i < p->ic; i++)
            block_name(m.cell[transposed ? i * p->oc + j : j * p->ic + i], transposed ? "A_%sᵀ" : "A_%s", j,
                       i, wide);
    m.row_block = m.column_block = 1;
    return m;
}

/* A column of channels for each image: before(s,c)after. */
static struct sheet_matrix planes_of(const char *before, int images, int channels, const char *after)
{
    struct sheet_matrix m = lesson_cells(channels, images);
    for (int c = 0; c < channels; c++)
        for (int s = 0; s < images; s++)
            snprintf(m.cell[c * images + s], SHEET_CELL, "%s(%d,%d)%s", before, s + 1, c + 1, after);
    m.row_block = m.column_block = 1;
    return m;
}

/* One plane by the single-channel convolution that the term is, with `direct`, added to `sum`. */
static void term_add(const struct lesson *lesson, enum conv_tensor output, int s, int j, int i, float *sum)
{
    struct conv_problem one = lesson->problem;
    const struct conv_problem *p = &lesson->problem;
    one.mb = one.ic = one.oc = 1;
    const size_t first[CONV_TENSORS] = {(size_t)(s * p->ic + i), (size_t)(j * p->ic + i),
                                        (size_t)(s * p->oc + j)};
    float *tensor[CONV_TENSORS];
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const float *from = t == CONV_DST ? lesson->gradient[t] : lesson->tensor[t];
        const size_t elements = conv_elements(&one, t);
        tensor[t] = lesson_zeros(elements); /* aligned, as a pass needs it */
        memcpy(tensor[t], from + first[t] * elements, elements * sizeof *from);
    }
    lesson_compute("direct", &one, output, tensor);
    for (size_t k = 0; k < conv_elements(&one, output); k++)
        sum[first[output] * conv_elements(&one, output) + k] += tensor[output][k];
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        free(tensor[t]);
}

/* Whether the single-channel convolutions, added up, give the whole pass. */
static bool sums_agree(const struct lesson *lesson, enum conv_tensor output)
{
    const struct conv_problem *p = &lesson->problem;
    float *sum = lesson_zeros(conv_elements(p, output));
    for (int s = 0; s < p->mb; s++)
        for (int j = 0; j < p->oc; j++)
            for (int i = 0; i < p->ic; i++)
                term_add(lesson, output, s, j, i, sum);
    const bool agree = lesson_same(sum, (output == CONV_DST ? lesson->tensor : lesson->gradient)[output],
                                   conv_elements(p, output));
    free(sum);
    return agree;
}

/* Extents of (s, j, i); a sum's result has two of them, its terms run over the third. */
enum { IMAGE, TO, FROM, AXES };

struct sum_rule {
    const char *formula, *words;
    const char *result, *first, *second; /* formats of two indexes */
    int result_axes[2], first_axes[2], second_axes[2], over;
    enum conv_tensor output;
};

/* Lines of a derivation that sums are packed into. */
struct lines {
    int count;
    char text[LINES][LINE];
    struct sheet_step step[LINES];
};

/* Begins a new line, or adds to the last one if it stays short enough. */
static void lines_add(struct lines *lines, bool begin, const char *words)
{
    char *last = lines->count ? lines->text[lines->count - 1] : NULL;
    if (!begin && sheet_width(last) + sheet_width(words) <= LINE_WIDTH) {
        snprintf(last + strlen(last), LINE - strlen(last), "%s", words);
    } else if (lines->count < LINES) {
        snprintf(lines->text[lines->count], LINE, "%s%s", begin ? "" : "  ", words);
        lines->step[lines->count] = (struct sheet_step){lines->text[lines->count], ""};
        lines->count++;
    }
}

static void sum_add(struct lines *lines, const struct sum_rule *rule, int at[AXES], int terms)
{
    char format[WORDS], words[WORDS];
    snprintf(format, sizeof format, "%s =", rule->result);
    snprintf(words, sizeof words, format, at[rule->result_axes[0]] + 1, at[rule->result_axes[1]] + 1);
    lines_add(lines, true, words);
    for (int k = 0; k < terms; k++) {
        at[rule->over] = k;
        snprintf(format, sizeof format, "%s%s ⋆ %s", k ? " + " : " ", rule->first, rule->second);
        snprintf(words, sizeof words, format, at[rule->first_axes[0]] + 1, at[rule->first_axes[1]] + 1,
                 at[rule->second_axes[0]] + 1, at[rule->second_axes[1]] + 1);
        lines_add(lines, false, words);
    }
}

static void sums_show(const struct lesson *lesson, const struct sum_rule *rule)
{
    const struct conv_problem *p = &lesson->problem;
    const int extent[AXES] = {p->mb, p->oc, p->ic}, *axes = rule->result_axes;
    struct lines lines = {0};
    int shown = 0;
    sheet_text(&lesson->sheet, "%s: $%s$. Written out:", rule->words, rule->formula);
    for (int a = 0; a < extent[axes[0]]; a++)
        for (int b = 0; b < extent[axes[1]] && lines.count < LINES; b++, shown++) {
            int at[AXES] = {0};
            at[axes[0]] = a, at[axes[1]] = b;
            sum_add(&lines, rule, at, extent[rule->over]);
        }
    sheet_derivation(&lesson->sheet, lines.count, lines.step);
    if (lines.count == LINES)
        sheet_text(&lesson->sheet, "and so on: these are about %d of %d sums.", shown,
                   extent[axes[0]] * extent[axes[1]]);
    sheet_text(&lesson->sheet,
               "All these convolutions of one channel and one image (direct), added up, and the pass as a "
               "whole (explicit-dense): %s.",
               lesson_verdict(sums_agree(lesson, rule->output)));
}

static const struct sum_rule sum_rules[] = {
    {"y(s,j) = Σ_i x(s,i) ⋆ w(j,i)",
     "Forward sums over the input channels",
     "y(%d,%d)",
     "x(%d,%d)",
     "w(%d,%d)",
     {IMAGE, TO},
     {IMAGE, FROM},
     {TO, FROM},
     FROM,
     CONV_DST},
    {"∂L/∂x(s,i) = Σ_j ∂L/∂y(s,j) ⋆ turned w(j,i)",
     "Backward sums over the output channels (with $∂L/∂y$ in its zeros, as in the picture)",
     "∂L/∂x(%d,%d)",
     "∂L/∂y(%d,%d)",
     "turned w(%d,%d)",
     {IMAGE, FROM},
     {IMAGE, TO},
     {TO, FROM},
     TO,
     CONV_SRC},
    {"∂L/∂w(j,i) = Σ_s ∂L/∂y(s,j) ⋆ x(s,i)",
     "The gradient of the weights sums over the images (with $x$ in its padding; $∂L/∂y$ is the kernel)",
     "∂L/∂w(%d,%d)",
     "∂L/∂y(%d,%d)",
     "x(%d,%d)",
     {TO, FROM},
     {IMAGE, TO},
     {IMAGE, FROM},
     IMAGE,
     CONV_WEI},
};

void explain_blocks(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    sheet_text(&lesson->sheet,
               "$A$ consists of blocks: $A_ji$ is the matrix of the convolution with $w(j,i)$ alone. Each "
               "image is a column, and all images meet the same $A$:");
    lesson_show(lesson, "@ = @ · @",
                (struct sheet_matrix[]){planes_of("y", p->mb, p->oc, ""), blocks_of(p, false),
                                        planes_of("x", p->mb, p->ic, "")});
    sheet_text(&lesson->sheet, "Backward with the transposed blocks in transposed places:");
    lesson_show(lesson, "@ = @ · @",
                (struct sheet_matrix[]){planes_of("∂x", p->mb, p->ic, ""), blocks_of(p, true),
                                        planes_of("∂y", p->mb, p->oc, "")});
    sheet_text(&lesson->sheet,
               "For the weights $Q(s)$ has a block of columns for each input channel. The gradients of the "
               "images are added: $(∂L/∂m(j))ᵀ = Σ_s Q(s)ᵀ (∂L/∂y(s,j))ᵀ$.");
    struct sheet_matrix q = lesson_cells(1, p->mb), m = lesson_cells(1, p->oc),
                        dy = lesson_cells(p->mb, p->oc);
    for (int s = 0; s < p->mb; s++)
        snprintf(q.cell[s], SHEET_CELL, "Q(%d)ᵀ", s + 1);
    for (int j = 0; j < p->oc; j++) {
        snprintf(m.cell[j], SHEET_CELL, "∂m(%d)", j + 1);
        for (int s = 0; s < p->mb; s++)
            snprintf(dy.cell[s * p->oc + j], SHEET_CELL, "∂y(%d,%d)", s + 1, j + 1);
    }
    q.column_block = m.column_block = dy.column_block = dy.row_block = 1;
    lesson_show(lesson, "@ = @ · @", (struct sheet_matrix[]){m, q, dy});
    for (size_t i = 0; i < sizeof sum_rules / sizeof *sum_rules; i++)
        sums_show(lesson, &sum_rules[i]);
}
