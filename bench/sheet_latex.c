/* Sheets for LaTeX: a document on A4, or its body to \input. SPDX-License-Identifier: Apache-2.0 */
#include "sheet_format.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *utf8, *latex;
} names[] = {
    {"α", "\\alpha "},
    {"β", "\\beta "},
    {"γ", "\\gamma "},
    {"δ", "\\delta "},
    {"ε", "\\varepsilon "},
    {"ζ", "\\zeta "},
    {"η", "\\eta "},
    {"θ", "\\theta "},
    {"κ", "\\kappa "},
    {"μ", "\\mu "},
    {"φ", "\\varphi "},
    {"∂", "\\partial "},
    {"Δ", "\\Delta "},
    {"Σ", "\\textstyle\\sum\\nolimits "},
    {"·", "\\cdot "},
    {"⊙", "\\odot "},
    {"⋆", "\\star "},
    {"×", "\\times "},
    {"±", "\\pm "},
    {"←", "\\leftarrow "},
    {"→", "\\to "},
    {"≃", "\\simeq "},
    {"≥", "\\ge "},
    {"≤", "\\le "},
    {"∞", "\\infty "},
    {"…", "\\dots "},
    {"ᵀ", "^{\\mathsf T}"},
    {"′", "'"},
    {"²", "^2"},
    {"⁻", "^-"},
    {"°", "^\\circ "},
    {"−", "-"},
    {"%", "\\%"},
    {"&", "\\&"},
    {"#", "\\#"},
};

static const char *name_at(const char *text)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(text, names[i].utf8, strlen(names[i].utf8)))
            return names[i].latex;
    return NULL;
}

static size_t letters_at(const char *text)
{
    size_t length = 0;
    while (isalpha((unsigned char)text[length]))
        length++;
    return length;
}

/* Bytes of a fraction of integers like 225/256 that begins here, or 0; *slash is where it is divided. */
static size_t fraction_at(const char *text, size_t *slash)
{
    *slash = strspn(text, "0123456789");
    if (!*slash || text[*slash] != '/')
        return 0;
    const size_t below = strspn(text + *slash + 1, "0123456789");
    return below ? *slash + 1 + below : 0;
}

/* A formula up to a dollar sign or its end; returns where it stopped. Words of two letters stay upright and keep the
 * blanks beside them, wide gaps stay gaps. */
static const char *latex_formula(FILE *file, const char *text)
{
    bool word = false;
    while (*text && *text != '$') {
        size_t slash, length = letters_at(text), fraction = fraction_at(text, &slash);
        const size_t index = sheet_index_length(text);
        const char *name = name_at(text);
        const bool beside_word = word;
        word = length > 1 || (word && *text == ' ');
        if (length > 1) {
            fprintf(file, "\\mathrm{%.*s}", (int)length, text);
        } else if (!strncmp(text, "  ", 2)) {
            fputs("\\quad ", file);
            length = 2;
        } else if (*text == ' ') {
            fputs(beside_word || letters_at(text + 1) > 1 ? "\\ " : " ", file);
            length = 1;
        } else if (fraction) {
            fprintf(file, "\\tfrac{%.*s}{%.*s}", (int)slash, text, (int)(fraction - slash - 1),
                    text + slash + 1);
            length = fraction;
        } else if (index) {
            fprintf(file, "_{%.*s}", (int)index - 1, text + 1);
            length = index;
        } else {
            length = sheet_character_length(text);
            if (name)
                fputs(name, file);
            else
                fprintf(file, "%.*s", (int)length, text);
        }
        text += length;
    }
    return text;
}

static void latex_prose(FILE *file, const char *text)
{
    while (*text) {
        const char *name = name_at(text);
        if (*text == '$') {
            putc('$', file);
            text = latex_formula(file, text + 1);
            putc('$', file);
            text += *text == '$';
            continue;
        }
        const bool dash = text[0] == '-' && text[1] == '-'; /* of an option; LaTeX would join the two */
        const size_t length = dash ? 2 : sheet_character_length(text);
        if (dash)
            fputs("-{}-", file);
        else if (name)
            fprintf(file, *name == '\\' && ispunct((unsigned char)name[1]) ? "%s" : "$%s$", name);
        else
            fprintf(file, *text == '_' ? "\\_" : "%.*s", (int)length, text);
        text += length;
    }
}

/* An equation that the page does not hold is made smaller. */
static const char macros[] =
    "\\ifdefined\\sheetbox\\else\\newsavebox\\sheetbox\\fi\n"
    "\\providecommand\\sheetfit[1]{\\sbox\\sheetbox{$\\displaystyle#1$}%\n"
    "  "
    "\\ifdim\\wd\\sheetbox>\\linewidth\\sbox\\sheetbox{\\resizebox{\\linewidth}{!}{\\usebox\\sheetbox}}\\fi\n"
    "  \\[\\usebox\\sheetbox\\]}\n";

static void latex_begin(const struct sheet *sheet, const char *title)
{
    if (sheet->fragment)
        fprintf(sheet->file, "%% %s: to \\input; needs \\usepackage{amsmath,graphicx} and UTF-8\n", title);
    else
        fputs("\\documentclass[a4paper]{article}\n\\usepackage[margin=2cm]{geometry}\n"
              "\\usepackage{amsmath,graphicx}\n\\setlength{\\parindent}{0pt}\n\\setlength{\\parskip}{.6ex}\n",
              sheet->file);
    fputs(macros, sheet->file);
    if (!sheet->fragment)
        fprintf(sheet->file, "\\title{%s}\n\\date{}\n\\begin{document}\n\\maketitle\n", title);
}

static void latex_end(const struct sheet *sheet)
{
    if (!sheet->fragment)
        fputs("\\end{document}\n", sheet->file);
}

static void latex_contents(const struct sheet *sheet, int entries, const struct sheet_entry *entry)
{
    (void)entries, (void)entry;
    fputs(sheet->fragment ? "" : "\\tableofcontents\n\n", sheet->file);
}

static void latex_heading(const struct sheet *sheet, const struct sheet_entry *entry)
{
    fputs("\\section{", sheet->file);
    latex_prose(sheet->file, entry->title);
    fprintf(sheet->file, "}\\label{explain:%s}\n\n",
            entry->name); /* a label of one's own among those of a book */
}

static void latex_paragraph(const struct sheet *sheet, const char *text)
{
    latex_prose(sheet->file, text);
    fputs("\n\n", sheet->file);
}

static void latex_matrix(FILE *file, const struct sheet_matrix *m)
{
    fputs("\\left(\\begin{array}{", file);
    for (int column = 0; column < m->columns; column++)
        fputs(sheet_border_before(m, column) ? "|c" : "c", file);
    fputs("}\n", file);
    for (int row = 0; row < m->rows; row++) {
        fputs(sheet_border_above(m, row) ? "\\hline\n" : "", file);
        for (int column = 0; column < m->columns; column++) {
            latex_formula(file, sheet_cell(m, row, column));
            fputs(column + 1 < m->columns ? " & " : " \\\\\n", file);
        }
    }
    fputs("\\end{array}\\right)", file);
}

static void latex_line(const struct sheet *sheet, int parts, const struct sheet_part *part)
{
    fputs("\\sheetfit{\\setlength{\\arraycolsep}{3pt}\n", sheet->file);
    for (int i = 0; i < parts; i++)
        if (part[i].matrix)
            latex_matrix(sheet->file, part[i].matrix);
        else
            latex_formula(sheet->file, part[i].words);
    fputs("\n}\n\n", sheet->file);
}

static void latex_derivation(const struct sheet *sheet, int steps, const struct sheet_step *step)
{
    fputs("\\begin{center}\\begin{tabular}{@{}l@{\\quad}p{.5\\linewidth}@{}}\n", sheet->file);
    for (int i = 0; i < steps; i++) {
        putc('$', sheet->file);
        latex_formula(sheet->file, step[i].formula);
        fputs("$ & ", sheet->file);
        latex_prose(sheet->file, step[i].reason);
        fputs(" \\\\\n", sheet->file);
    }
    fputs("\\end{tabular}\\end{center}\n\n", sheet->file);
}

static void latex_drawing(const struct sheet *sheet, int rows, int columns, const struct sheet_box *box)
{
    fprintf(sheet->file, "\\sheetfit{\\renewcommand{\\arraystretch}{1.2}\\begin{array}{*{%d}{c}}\n", columns);
    for (int i = 0; i < rows * columns; i++) {
        if (box[i].size) {
            fputs("\\fbox{$\\begin{array}{c}", sheet->file);
            latex_formula(sheet->file, box[i].title);
            fputs("\\\\", sheet->file);
            latex_formula(sheet->file, box[i].size);
            fputs("\\end{array}$}", sheet->file);
        } else {
            latex_formula(sheet->file, box[i].title);
        }
        fputs((i + 1) % columns ? " & " : " \\\\[4ex]\n", sheet->file);
    }
    fputs("\\end{array}\n}\n\n", sheet->file);
}

/* 96 characters of matrices fill the line of an A4 page at their full size; more are made smaller, to two thirds at most.
 * 44 lines fill the page. */
const struct sheet_format sheet_format_latex = {.name = "latex",
                                                .width = 144,
                                                .height = 44,
                                                .has_fragment = true,
                                                .begin = latex_begin,
                                                .end = latex_end,
                                                .contents = latex_contents,
                                                .heading = latex_heading,
                                                .paragraph = latex_paragraph,
                                                .line = latex_line,
                                                .derivation = latex_derivation,
                                                .drawing = latex_drawing};
