/* A sheet of text, formulas, matrices and drawings, written for the terminal, for LaTeX or for a browser.
 *
 * All of them take one small notation in UTF-8. Prose is plain words with formulas between dollar signs; cells of
 * matrices, the words between them, formulas of derivations and names in boxes are formulas throughout. In a formula `_`
 * before digits (`w_12`, `w_12,3`) or before small letters (`x_k`, `A_ji`) makes an index. The terminal shows w12 and xₖ, LaTeX and
 * the browser a subscript and italic letters; two letters or more are a word and stay upright. Greek letters, minus,
 * times and the like become what each of them needs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SHEET_H
#define TRIPASS_SHEET_H

#include <stdbool.h>
#include <stdio.h>

enum { SHEET_CELL = 48 }; /* bytes of a cell's notation, its end included */

struct sheet_matrix {
    int rows, columns;
    char (*cell)[SHEET_CELL];    /* rows x columns, the owner's */
    int row_block, column_block; /* borders are drawn between blocks of so many; 0: none */
    int row_first, column_first; /* number of the first row and column, where it is a piece of a larger one */
};

/* A part of an equation: a matrix, or words (" = ", "A") where it is NULL. */
struct sheet_part {
    const struct sheet_matrix *matrix;
    const char *words;
};

/* A line of a derivation, and why it holds (prose; may be empty). */
struct sheet_step {
    const char *formula, *reason;
};

/* A place in a drawing: a box with two lines, or words without a box where `size` is NULL. */
struct sheet_box {
    const char *title, *size;
};

/* An entry of the table of contents. */
struct sheet_entry {
    const char *name, *title; /* the name is the link's target; it consists of small letters */
};

struct sheet_format; /* how a sheet is written; see sheet_format_find */

struct sheet {
    FILE *file;
    const struct sheet_format *format;
    bool fragment; /* LaTeX without what makes it a document, for \input */
};

/* "text", "latex" or "html"; NULL if it is none of them. The browser's needs nothing from a network. */
const struct sheet_format *sheet_format_find(const char *name);

/* Whether the format can be written as a fragment. */
bool sheet_has_fragment(const struct sheet_format *format);

void sheet_begin(const struct sheet *sheet, const char *title);
void sheet_end(const struct sheet *sheet);
void sheet_contents(const struct sheet *sheet, int entries, const struct sheet_entry *entry);
void sheet_heading(const struct sheet *sheet, const struct sheet_entry *entry);
void sheet_text(const struct sheet *sheet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Matrices side by side, centered on each other, with the words between them: in one line where that is not too long
 * for the format, otherwise in several. A matrix that is too large by itself is cut into pieces, which say what they are. */
void sheet_equation(const struct sheet *sheet, int parts, const struct sheet_part *part);

/* Characters that notation takes in the terminal. */
int sheet_width(const char *notation);

void sheet_derivation(const struct sheet *sheet, int steps, const struct sheet_step *step);
void sheet_drawing(const struct sheet *sheet, int rows, int columns, const struct sheet_box *box);

#endif
