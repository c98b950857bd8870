/* What the formats of a sheet share: the measures of the notation, and equations cut to what a line holds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sheet_format.h"

#include "complain.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- measures ---- */

size_t sheet_index_length(const char *text)
{
    size_t length = 1;
    if (*text != '_')
        return 0;
    const bool letters = islower((unsigned char)text[1]);
    while (letters ? islower((unsigned char)text[length])
                   : isdigit((unsigned char)text[length]) ||
                         (length > 1 && text[length] == ',' && isdigit((unsigned char)text[length + 1])))
        length++;
    return length > 1 ? length : 0;
}

size_t sheet_character_length(const char *text)
{
    size_t length = 1;
    while ((text[length] & 0xC0) == 0x80) /* the bytes that continue it */
        length++;
    return length;
}

int sheet_width(const char *text)
{
    int width = 0;
    for (; *text; text += sheet_character_length(text))
        width += *text != '$' && !sheet_index_length(text);
    return width;
}

int sheet_column_width(const struct sheet_matrix *m, int column)
{
    int width = 1;
    for (int row = 0; row < m->rows; row++)
        if (sheet_width(sheet_cell(m, row, column)) > width)
            width = sheet_width(sheet_cell(m, row, column));
    return width;
}

bool sheet_border_above(const struct sheet_matrix *m, int row)
{
    return row && m->row_block && (m->row_first + row) % m->row_block == 0;
}

bool sheet_border_before(const struct sheet_matrix *m, int column)
{
    return column && m->column_block && (m->column_first + column) % m->column_block == 0;
}

/* ---- equations ---- */

/* Columns of the terminal that columns first .. end - 1 of a matrix take, brackets left out. */
static int columns_width(const struct sheet_matrix *m, int first, int end)
{
    int width = 0;
    for (int column = first; column < end; column++)
        width += 1 + sheet_column_width(m, column) + 2 * (column > first && sheet_border_before(m, column));
    return width;
}

static int part_width(const struct sheet_part *part)
{
    enum { BRACKETS = 3 };
    return part->matrix ? columns_width(part->matrix, 0, part->matrix->columns) + BRACKETS
                        : sheet_width(part->words);
}

/* How many columns from `first` on fit: whole blocks, or, where a block does not, some of one; at least one column. */
static int columns_that_fit(const struct sheet_matrix *m, int first, int width)
{
    int end = first + 1, block_end = 0;
    while (end < m->columns && columns_width(m, first, end + 1) <= width) {
        if (sheet_border_before(m, end))
            block_end = end;
        end++;
    }
    return (end < m->columns && block_end && !sheet_border_before(m, end) ? block_end : end) - first;
}

static struct sheet_matrix piece_of(const struct sheet_matrix *m, int row, int rows, int column, int columns)
{
    struct sheet_matrix piece = *m;
    piece.rows = rows, piece.columns = columns, piece.row_first += row, piece.column_first += column;
    piece.cell = must_allocate(NULL, (size_t)rows * (size_t)columns, sizeof *piece.cell);
    for (int r = 0; r < rows; r++)
        memcpy(piece.cell[r * columns], m->cell[(row + r) * m->columns + column],
               (size_t)columns * sizeof *m->cell);
    return piece;
}

static void matrix_cut(const struct sheet *sheet, const struct sheet_matrix *m)
{
    enum { MARGIN = 5 };
    const struct sheet_format *format = sheet->format;
    const char *why = "This matrix is cut to fit: ";
    for (int row = 0, rows; row < m->rows; row += rows) {
        rows = m->rows - row < format->height ? m->rows - row : format->height;
        for (int column = 0, columns; column < m->columns; column += columns) {
            columns = columns_that_fit(m, column, format->width - MARGIN);
            struct sheet_matrix piece = piece_of(m, row, rows, column, columns);
            if (rows < m->rows)
                sheet_text(sheet, "%srows %d to %d of %d, columns %d to %d of %d:", why, row + 1, row + rows,
                           m->rows, column + 1, column + columns, m->columns);
            else
                sheet_text(sheet, "%scolumns %d to %d of %d:", why, column + 1, column + columns, m->columns);
            format->line(sheet, 1, &(struct sheet_part){&piece, NULL});
            free(piece.cell);
            why = "";
        }
    }
}

void sheet_equation(const struct sheet *sheet, int parts, const struct sheet_part *part)
{
    enum { MARGIN = 2 };
    const struct sheet_format *format = sheet->format;
    int first = 0, width = MARGIN;
    for (int i = 0; i < parts; i++) {
        const struct sheet_matrix *m = part[i].matrix;
        const int own = part_width(&part[i]);
        if (m && (own + MARGIN > format->width || m->rows > format->height)) {
            if (i > first)
                format->line(sheet, i - first, part + first);
            matrix_cut(sheet, m);
            first = i + 1, width = MARGIN;
            continue;
        }
        if (i > first && width + own > format->width) {
            /* The words before a matrix go with it, if they fit. */
            const int words = m && i - 1 > first && !part[i - 1].matrix ? part_width(&part[i - 1]) : 0;
            const bool with = words && MARGIN + words + own <= format->width;
            format->line(sheet, i - with - first, part + first);
            first = i - with, width = MARGIN + with * words;
        }
        width += own;
    }
    if (parts > first)
        format->line(sheet, parts - first, part + first);
}

/* ---- the rest is the format's ---- */

const struct sheet_format *sheet_format_find(const char *name)
{
    static const struct sheet_format *const formats[] = {&sheet_format_text, &sheet_format_latex,
                                                         &sheet_format_html};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i]->name, name))
            return formats[i];
    return NULL;
}

bool sheet_has_fragment(const struct sheet_format *format)
{
    return format->has_fragment;
}

void sheet_begin(const struct sheet *sheet, const char *title)
{
    sheet->format->begin(sheet, title);
}

void sheet_end(const struct sheet *sheet)
{
    sheet->format->end(sheet);
}

void sheet_contents(const struct sheet *sheet, int entries, const struct sheet_entry *entry)
{
    sheet->format->contents(sheet, entries, entry);
}

void sheet_heading(const struct sheet *sheet, const struct sheet_entry *entry)
{
    sheet->format->heading(sheet, entry);
}

void sheet_text(const struct sheet *sheet, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sheet->format->paragraph(sheet, text);
}

void sheet_derivation(const struct sheet *sheet, int steps, const struct sheet_step *step)
{
    sheet->format->derivation(sheet, steps, step);
}

void sheet_drawing(const struct sheet *sheet, int rows, int columns, const struct sheet_box *box)
{
    sheet->format->drawing(sheet, rows, columns, box);
}
