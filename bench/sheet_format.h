/* What the three formats of a sheet (sheet.h) implement, and what they share. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SHEET_FORMAT_H
#define TRIPASS_SHEET_FORMAT_H

#include "sheet.h"

#include <stddef.h>

struct sheet_format {
    const char *name;
    int width, height; /* what an equation may take, in characters and lines of the terminal */
    bool has_fragment;
    void (*begin)(const struct sheet *sheet, const char *title);
    void (*end)(const struct sheet *sheet);
    void (*contents)(const struct sheet *sheet, int entries, const struct sheet_entry *entry);
    void (*heading)(const struct sheet *sheet, const struct sheet_entry *entry);
    void (*paragraph)(const struct sheet *sheet, const char *text);
    void (*line)(const struct sheet *sheet, int parts, const struct sheet_part *part); /* of an equation */
    void (*derivation)(const struct sheet *sheet, int steps, const struct sheet_step *step);
    void (*drawing)(const struct sheet *sheet, int rows, int columns, const struct sheet_box *box);
};
extern const struct sheet_format sheet_format_text, sheet_format_latex, sheet_format_html;

/* Bytes of the index that begins here, its `_` included; 0 if none does. */
size_t sheet_index_length(const char *text);

/* Bytes of the UTF-8 character that begins here. */
size_t sheet_character_length(const char *text);

/* Columns that a column of a matrix takes in the terminal. */
int sheet_column_width(const struct sheet_matrix *matrix, int column);

/* Whether a border comes before this row or column. */
bool sheet_border_above(const struct sheet_matrix *matrix, int row);
bool sheet_border_before(const struct sheet_matrix *matrix, int column);

static inline const char *sheet_cell(const struct sheet_matrix *matrix, int row, int column)
{
    return matrix->cell[row * matrix->columns + column];
}

#endif
