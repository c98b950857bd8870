/* A page of text and matrices, written for the terminal, for LaTeX or for a browser.
 *
 * Text and cells are in one small notation: plain words in UTF-8, and `_` before the digits of an index (`w_12`).
 * The terminal shows w12, LaTeX w_{12}, the browser a subscript; Greek letters, minus, times and the like become
 * what each of them needs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PAGE_H
#define TRIPASS_PAGE_H

#include <stdio.h>

enum { PAGE_CELL = 40 }; /* bytes of a cell's notation, its end included */

struct page_matrix {
    int rows, columns;
    char (*cell)[PAGE_CELL]; /* rows x columns, the owner's */
};

/* A part of an equation: a matrix, or words (" = ", "A") where it is NULL. */
struct page_part {
    const struct page_matrix *matrix;
    const char *words;
};

struct page_format; /* how a page is written; see page_format_find */

struct page {
    FILE *file;
    const struct page_format *format;
};

/* "text", "latex" or "html"; NULL if it is none of them. The latter two are whole documents; the browser's needs
 * nothing from a network. */
const struct page_format *page_format_find(const char *name);

void page_begin(const struct page *page, const char *title);
void page_end(const struct page *page);
void page_heading(const struct page *page, const char *heading);
void page_text(const struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line: matrices side by side, centered on each other, with the words between them. */
void page_equation(const struct page *page, int parts, const struct page_part *part);

#endif
