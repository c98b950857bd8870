/* Sheets for the terminal. SPDX-License-Identifier: Apache-2.0 */
#include "sheet_format.h"

#include "complain.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 80, WORD = 128 };

/* The letters that have a subscript in Unicode and that are used as indexes. */
static const char *subscript_of(char letter)
{
    static const char *const of[] = {['i'] = "ᵢ", ['j'] = "ⱼ", ['k'] = "ₖ", ['l'] = "ₗ", ['s'] = "ₛ"};
    return (size_t)letter < sizeof of / sizeof *of ? of[(size_t)letter] : NULL;
}

/* The first `length` bytes of some notation. */
static void text_notation(FILE *file, const char *text, size_t length)
{
    const char *end = text + length, *index_end = text;
    for (; text < end && *text; text++) {
        const char *subscript = text < index_end ? subscript_of(*text) : NULL;
        if (sheet_index_length(text))
            index_end = text + sheet_index_length(text);
        else if (subscript)
            fputs(subscript, file);
        else if (*text != '$')
            putc(*text, file);
    }
}

/* Words from column `column` on, in lines that are broken between them and begin with `indent` blanks. */
static void text_filled(FILE *file, const char *text, int column, int indent)
{
    while (*text) {
        char word[WORD];
        const size_t blanks = strspn(text, " "), length = strcspn(text + blanks, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, text + blanks);
        const bool full = column > indent && column + (int)blanks + sheet_width(word) > WIDTH;
        if (full)
            fprintf(file, "\n%*s", indent, "");
        else
            fprintf(file, "%*s", (int)blanks, "");
        column = (full ? indent : column + (int)blanks) + sheet_width(word);
        text_notation(file, word, strlen(word));
        text += blanks + length;
    }
}

static void text_repeat(FILE *file, const char *text, int times)
{
    while (times-- > 0)
        fputs(text, file);
}

static void text_padded(FILE *file, const char *text, int width)
{
    text_notation(file, text, strlen(text));
    text_repeat(file, " ", width - sheet_width(text));
}

static void text_begin(const struct sheet *sheet, const char *title)
{
    fprintf(sheet->file, "%s\n", title);
    text_repeat(sheet->file, "=", sheet_width(title));
    fputs("\n\n", sheet->file);
}

static void text_end(const struct sheet *sheet)
{
    (void)sheet;
}

static void text_contents(const struct sheet *sheet, int entries, const struct sheet_entry *entry)
{
    fputs("Contents (--part=NAME,... prints only these parts)\n\n", sheet->file);
    for (int i = 0; i < entries; i++) {
        fprintf(sheet->file, "  %-12s", entry[i].name);
        text_filled(sheet->file, entry[i].title, 14, 14);
        putc('\n', sheet->file);
    }
    putc('\n', sheet->file);
}

static void text_heading(const struct sheet *sheet, const struct sheet_entry *entry)
{
    putc('\n', sheet->file);
    text_filled(sheet->file, entry->title, 0, 0);
    putc('\n', sheet->file);
    text_repeat(sheet->file, "-", sheet_width(entry->title));
    fputs("\n\n", sheet->file);
}

static void text_paragraph(const struct sheet *sheet, const char *text)
{
    text_filled(sheet->file, text, 0, 0);
    fputs("\n\n", sheet->file);
}

/* ---- equations ---- */

/* Lines that a matrix takes: its rows, and the borders between blocks of them. */
static int text_height(const struct sheet_matrix *m)
{
    int height = m->rows;
    for (int row = 0; row < m->rows; row++)
        height += sheet_border_above(m, row);
    return height;
}

/* The row that stands in a line of a matrix, or -1 for a border. */
static int text_row(const struct sheet_matrix *m, int line)
{
    for (int row = 0; row < m->rows; row++) {
        if (sheet_border_above(m, row) && line-- == 0)
            return -1;
        if (line-- == 0)
            return row;
    }
    return -1;
}

/* One line of a matrix that is vertically centered in `height` lines; of borders that cross, bars only. */
static void text_matrix_line(FILE *file, const struct sheet_matrix *m, int line, int height)
{
    line -= (height - text_height(m)) / 2;
    const bool inside = line >= 0 && line < text_height(m);
    const int row = text_row(m, line);
    const bool border = inside && row < 0;
    fputs(border ? "├" : inside ? "│" : " ", file);
    for (int column = 0; column < m->columns; column++) {
        const char *cell = inside && !border ? sheet_cell(m, row, column) : "";
        if (sheet_border_before(m, column))
            fputs(border ? "┄┼" : inside ? " ┆" : "  ", file);
        text_repeat(file, border ? "┄" : " ", sheet_column_width(m, column) - sheet_width(cell) + 1);
        text_notation(file, cell, strlen(cell));
    }
    fputs(border ? "┄┤" : inside ? " │" : "  ", file);
}

/* Lines are written to memory first: blanks at their ends are left out. */
struct text_buffer {
    FILE *file;
    char *text;
    size_t bytes;
};

static void buffer_open(struct text_buffer *buffer)
{
    buffer->file = open_memstream(&buffer->text, &buffer->bytes);
    if (!buffer->file)
        usage_error("explain: out of memory; try a smaller problem");
}

static void buffer_print(struct text_buffer *buffer, FILE *to)
{
    fclose(buffer->file);
    while (buffer->bytes && buffer->text[buffer->bytes - 1] == ' ')
        buffer->bytes--;
    fprintf(to, "%.*s\n", (int)buffer->bytes, buffer->text);
    free(buffer->text);
}

static void text_line(const struct sheet *sheet, int parts, const struct sheet_part *part)
{
    int height = 1;
    for (int i = 0; i < parts; i++)
        if (part[i].matrix && text_height(part[i].matrix) > height)
            height = text_height(part[i].matrix);
    for (int line = 0; line < height; line++) {
        struct text_buffer to;
        buffer_open(&to);
        fputs("  ", to.file);
        for (int i = 0; i < parts; i++)
            if (part[i].matrix)
                text_matrix_line(to.file, part[i].matrix, line, height);
            else
                text_padded(to.file, line == (height - 1) / 2 ? part[i].words : "",
                            sheet_width(part[i].words));
        buffer_print(&to, sheet->file);
    }
    putc('\n', sheet->file);
}

/* ---- derivations and drawings ---- */

static void text_derivation(const struct sheet *sheet, int steps, const struct sheet_step *step)
{
    enum { INDENT = 2, GAP = 3 };
    int width = 0;
    for (int i = 0; i < steps; i++)
        if (sheet_width(step[i].formula) > width)
            width = sheet_width(step[i].formula);
    for (int i = 0; i < steps; i++) {
        text_repeat(sheet->file, " ", INDENT);
        text_padded(sheet->file, step[i].formula, *step[i].reason ? width + GAP : 0);
        text_filled(sheet->file, step[i].reason, INDENT + width + GAP, INDENT + width + GAP);
        putc('\n', sheet->file);
    }
    putc('\n', sheet->file);
}

/* Widest title or size of a column, with or without a box. */
static int text_box_width(int rows, int columns, const struct sheet_box *box, int column)
{
    int width = 0;
    for (int row = 0; row < rows; row++) {
        const struct sheet_box *b = &box[row * columns + column];
        const int frame = b->size ? 4 : 0;
        if (sheet_width(b->title) + frame > width)
            width = sheet_width(b->title) + frame;
        if (b->size && sheet_width(b->size) + frame > width)
            width = sheet_width(b->size) + frame;
    }
    return width;
}

/* Line 0 .. 3 of a box: its top, title, size and bottom. */
static void text_box_line(FILE *file, const struct sheet_box *box, int line, int width)
{
    const char *words = line == 1 ? box->title : line == 2 && box->size ? box->size : "";
    const bool edge = line == 0 || line == 3;
    if (box->size) {
        fputs(line == 0 ? "┌─" : edge ? "└─" : "│ ", file);
        text_notation(file, words, strlen(words));
        text_repeat(file, edge ? "─" : " ", width - 4 - sheet_width(words));
        fputs(line == 0 ? "─┐" : edge ? "─┘" : " │", file);
    } else {
        text_padded(file, words, width);
    }
}

static void text_drawing(const struct sheet *sheet, int rows, int columns, const struct sheet_box *box)
{
    for (int row = 0; row < rows; row++)
        for (int line = 0; line < 4; line++) {
            struct text_buffer to;
            buffer_open(&to);
            for (int column = 0; column < columns; column++) {
                fputs(column ? " " : "  ", to.file);
                text_box_line(to.file, &box[row * columns + column], line,
                              text_box_width(rows, columns, box, column));
            }
            buffer_print(&to, sheet->file);
        }
    putc('\n', sheet->file);
}

const struct sheet_format sheet_format_text = {.name = "text",
                                               .width = WIDTH,
                                               .height = 1000,
                                               .begin = text_begin,
                                               .end = text_end,
                                               .contents = text_contents,
                                               .heading = text_heading,
                                               .paragraph = text_paragraph,
                                               .line = text_line,
                                               .derivation = text_derivation,
                                               .drawing = text_drawing};
