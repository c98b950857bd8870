/* Pages in three formats: a table of functions each. SPDX-License-Identifier: Apache-2.0 */
#include "page.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

struct page_format {
    const char *name;
    const char *begin; /* with %1$s for the title */
    const char *end;
    const char *heading[2], *paragraph[2]; /* what stands before and after */
    void (*notation)(FILE *file, const char *text);
    void (*equation)(const struct page *page, int parts, const struct page_part *part);
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Characters of UTF-8 text: bytes that do not continue one. The indexes' marks are not shown. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += (*text & 0xC0) != 0x80 && !(*text == '_' && is_digit(text[1]));
    return width;
}

/* ---- terminal ---- */

enum { TEXT_WIDTH = 100 };

/* Lines are broken between words. */
static void text_notation(FILE *file, const char *text)
{
    int column = 0;
    for (; *text; text++) {
        char word[128];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(text + (*text == ' '), " "), text + (*text == ' '));
        const bool full = *text == ' ' && column + 1 + width_of(word) > TEXT_WIDTH;
        column = full ? 0 : column + ((*text & 0xC0) != 0x80);
        if (!(*text == '_' && is_digit(text[1])))
            putc(full ? '\n' : *text, file);
    }
}

static void text_pad(FILE *file, int width)
{
    fprintf(file, "%*s", width, "");
}

static int column_width(const struct page_matrix *m, int column)
{
    int width = 1;
    for (int row = 0; row < m->rows; row++)
        if (width_of(m->cell[row * m->columns + column]) > width)
            width = width_of(m->cell[row * m->columns + column]);
    return width;
}

/* One text line of a matrix that is vertically centered in `height` lines. */
static void text_matrix_line(FILE *file, const struct page_matrix *m, int line, int height)
{
    const int row = line - (height - m->rows) / 2, inside = row >= 0 && row < m->rows;
    fputs(inside ? "│" : " ", file);
    for (int column = 0; column < m->columns; column++) {
        const char *cell = inside ? m->cell[row * m->columns + column] : "";
        text_pad(file, column_width(m, column) - width_of(cell) + 1);
        text_notation(file, cell);
    }
    fputs(inside ? " │" : "  ", file);
}

static void text_equation(const struct page *page, int parts, const struct page_part *part)
{
    int height = 1;
    for (int i = 0; i < parts; i++)
        if (part[i].matrix && part[i].matrix->rows > height)
            height = part[i].matrix->rows;
    for (int line = 0; line < height; line++) {
        fputs("  ", page->file);
        for (int i = 0; i < parts; i++)
            if (part[i].matrix)
                text_matrix_line(page->file, part[i].matrix, line, height);
            else if (line == (height - 1) / 2)
                text_notation(page->file, part[i].words);
            else
                text_pad(page->file, width_of(part[i].words));
        putc('\n', page->file);
    }
    putc('\n', page->file);
}

/* ---- LaTeX ---- */

static const struct {
    const char *utf8, *latex;
} latex_names[] = {
    {"α", "\\alpha "},
    {"β", "\\beta "},
    {"γ", "\\gamma "},
    {"δ", "\\delta "},
    {"ε", "\\varepsilon "},
    {"ζ", "\\zeta "},
    {"η", "\\eta "},
    {"θ", "\\theta "},
    {"ι", "\\iota "},
    {"κ", "\\kappa "},
    {"λ", "\\lambda "},
    {"μ", "\\mu "},
    {"ν", "\\nu "},
    {"ξ", "\\xi "},
    {"π", "\\pi "},
    {"ρ", "\\rho "},
    {"σ", "\\sigma "},
    {"τ", "\\tau "},
    {"υ", "\\upsilon "},
    {"φ", "\\varphi "},
    {"χ", "\\chi "},
    {"ψ", "\\psi "},
    {"ω", "\\omega "},
    {"∂", "\\partial "},
    {"·", "\\cdot "},
    {"⊙", "\\odot "},
    {"Σ", "\\textstyle\\sum "},
    {"⋆", "\\star "},
    {"←", "\\leftarrow "},
    {"×", "\\times "},
    {"ᵀ", "^{\\mathsf T}"},
    {"∈", "\\in "},
    {"≃", "\\simeq "},
    {"⟨", "\\langle "},
    {"⟩", "\\rangle "},
    {"Δ", "\\Delta "},
    {"−", "-"},
    {"∞", "\\infty "},
    {"%", "\\%"},
    {"&", "\\&"},
    {"′", "'"},
    {"²", "^2"},
};

/* In formulas: words stay words, and wide gaps stay gaps. Returns the bytes it took. */
static size_t latex_words(FILE *file, const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz", gap[] = "  ";
    const size_t length = strspn(text, letters);
    if (!strncmp(text, gap, strlen(gap))) {
        fputs("\\quad ", file);
        return strlen(gap);
    }
    if (length < 2)
        return 0;
    fprintf(file, "\\text{%.*s}\\ ", (int)length, text);
    return length;
}

static void latex_symbols(FILE *file, const char *text, int math)
{
    while (*text) {
        size_t i = 0, count = sizeof latex_names / sizeof *latex_names;
        const size_t taken = math ? latex_words(file, text) : 0;
        if (taken) {
            text += taken;
            continue;
        }
        while (i < count && strncmp(text, latex_names[i].utf8, strlen(latex_names[i].utf8)))
            i++;
        if (i < count) {
            fprintf(file, math ? "%s" : "\\ensuremath{%s}", latex_names[i].latex);
            text += strlen(latex_names[i].utf8);
        } else if (*text == '_' && is_digit(text[1])) {
            fputs(math ? "_{" : "\\textsubscript{", file);
            for (text++; is_digit(*text) || (*text == ',' && is_digit(text[1])); text++)
                putc(*text, file);
            putc('}', file);
        } else {
            putc(*text++, file);
        }
    }
}

static void latex_notation(FILE *file, const char *text)
{
    latex_symbols(file, text, 0);
}

static void latex_matrix(FILE *file, const struct page_matrix *m)
{
    fprintf(file, "\\left(\\begin{array}{*{%d}{c}}\n", m->columns);
    for (int i = 0; i < m->rows * m->columns; i++) {
        latex_symbols(file, m->cell[i], 1);
        fputs((i + 1) % m->columns ? " & " : " \\\\\n", file);
    }
    fputs("\\end{array}\\right)", file);
}

static void latex_equation(const struct page *page, int parts, const struct page_part *part)
{
    fputs("\\fit{\n", page->file);
    for (int i = 0; i < parts; i++)
        if (part[i].matrix)
            latex_matrix(page->file, part[i].matrix);
        else
            latex_symbols(page->file, part[i].words, 1);
    fputs("\n}\n\n", page->file);
}

/* ---- browser ---- */

static void html_notation(FILE *file, const char *text)
{
    while (*text) {
        if (*text == '_' && is_digit(text[1])) {
            fputs("<sub>", file);
            for (text++; is_digit(*text) || (*text == ',' && is_digit(text[1])); text++)
                putc(*text, file);
            fputs("</sub>", file);
        } else if (*text == '<' || *text == '>' || *text == '&') {
            fputs(*text == '<' ? "&lt;" : *text == '>' ? "&gt;" : "&amp;", file);
            text++;
        } else {
            putc(*text++, file);
        }
    }
}

static void html_equation(const struct page *page, int parts, const struct page_part *part)
{
    fputs("<div class=\"equation\">", page->file);
    for (int i = 0; i < parts; i++) {
        const struct page_matrix *m = part[i].matrix;
        if (!m) {
            fputs("<span>", page->file);
            html_notation(page->file, part[i].words);
            fputs("</span>", page->file);
            continue;
        }
        fputs("<table>", page->file);
        for (int row = 0; row < m->rows; row++) {
            fputs("<tr>", page->file);
            for (int column = 0; column < m->columns; column++) {
                const char *cell = m->cell[row * m->columns + column];
                fputs(strcmp(cell, "0") ? "<td>" : "<td class=\"zero\">", page->file);
                html_notation(page->file, cell);
                fputs("</td>", page->file);
            }
            fputs("</tr>\n", page->file);
        }
        fputs("</table>", page->file);
    }
    fputs("</div>\n", page->file);
}

static const struct page_format formats[] = {
    {"text", "%1$s\n\n", "", {"\n", "\n\n"}, {"", "\n\n"}, text_notation, text_equation},
    {"latex",
     "\\documentclass{article}\n\\usepackage[a3paper,landscape,margin=1cm]{geometry}\n\\usepackage{amsmath,"
     "graphicx}\n"
     "%% an equation, made smaller where the page would not hold it\n"
     "\\newsavebox\\formula\n"
     "\\newcommand\\fit[1]{\\sbox\\formula{$\\displaystyle#1$}\n"
     "\\ifdim\\wd\\formula>\\linewidth \\sbox\\formula{\\resizebox{\\linewidth}{!}{\\usebox\\formula}}\\fi\n"
     "\\ifdim\\dimexpr\\ht\\formula+\\dp\\formula>.9\\textheight\n"
     "\\sbox\\formula{\\resizebox*{!}{.9\\textheight}{\\usebox\\formula}}\\fi\n"
     "\\[\\usebox\\formula\\]}\n"
     "\\setlength{\\parindent}{0pt}\n\\setlength{\\arraycolsep}{3pt}\n\\title{%1$s}\n\\date{}\n\\begin{"
     "document}\n"
     "\\maketitle\n",
     "\\end{document}\n",
     {"\\section*{", "}\n\n"},
     {"", "\n\n"},
     latex_notation,
     latex_equation},
    {"html",
     "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
     "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%1$s</title>\n<style>\n"
     ":root{color-scheme:light dark}body{font:16px/1.5 sans-serif;max-width:75rem;margin:2rem auto;padding:0 "
     "1rem}\n"
     ".equation{display:flex;align-items:center;gap:.6rem;overflow-x:auto;margin:1rem 0;font-family:serif}\n"
     ".equation span{white-space:nowrap}\n"
     "table{border-spacing:0;border:solid;border-width:0 2px;border-radius:.7rem/50%%;padding:.2rem "
     ".5rem}sub{line-height:0}\n"
     "td{text-align:center;padding:.05rem .45rem}.zero{opacity:.35}\n</style>\n<h1>%1$s</h1>\n",
     "</html>\n",
     {"<h2>", "</h2>\n"},
     {"<p>", "</p>\n"},
     html_notation,
     html_equation},
};

const struct page_format *page_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}

void page_begin(const struct page *page, const char *title)
{
    fprintf(page->file, page->format->begin, title);
}

void page_end(const struct page *page)
{
    fputs(page->format->end, page->file);
}

static void between(const struct page *page, const char *const around[2], const char *text)
{
    fputs(around[0], page->file);
    page->format->notation(page->file, text);
    fputs(around[1], page->file);
}

void page_heading(const struct page *page, const char *heading)
{
    between(page, page->format->heading, heading);
}

void page_text(const struct page *page, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    between(page, page->format->paragraph, text);
}

void page_equation(const struct page *page, int parts, const struct page_part *part)
{
    page->format->equation(page, parts, part);
}
