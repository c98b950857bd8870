/* Sheets for a browser: one file, no script, nothing fetched. SPDX-License-Identifier: Apache-2.0 */
#include "sheet_format.h"

#include <ctype.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--page:#fff;--shade:rgba(0,0,0,.3)}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#121212;--shade:rgba(255,255,255,.35)}}\n"
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem;background:var(--page)}\n"
    "h2{margin-top:2.5rem;border-bottom:1px solid}h2 a{float:right;font-size:1rem;text-decoration:none}\n"
    "nav ol{columns:18rem;padding-left:1.5rem}\n"
    "@media(min-width:82rem){body{padding-left:19rem;max-width:62rem}nav{position:fixed;left:1rem;top:0;"
    "width:17rem;"
    "max-height:100vh;overflow:auto;font-size:.9rem}nav ol{columns:1}}\n"
    /* A box that scrolls has a shadow where more is to come: one that scrolls along covers one that does not. */
    ".equation{display:flex;align-items:center;gap:.6rem;overflow-x:auto;margin:1rem 0;padding:.3rem 0;"
    "font-family:serif;background:linear-gradient(90deg,var(--page) 2rem,transparent) left/4rem 100% "
    "no-repeat local,"
    "linear-gradient(270deg,var(--page) 2rem,transparent) right/4rem 100% no-repeat local,"
    "linear-gradient(90deg,var(--shade),transparent) left/1rem 100% no-repeat,"
    "linear-gradient(270deg,var(--shade),transparent) right/1rem 100% no-repeat}\n"
    ".equation>:first-child{margin-left:auto}.equation>:last-child{margin-right:auto}\n"
    ".equation span{white-space:nowrap}.math{font-family:serif}sub,sup{line-height:0}\n"
    ".matrix{border-spacing:0;border:solid;border-width:0 2px;border-radius:.7rem/50%;padding:.2rem .5rem}\n"
    ".matrix td{text-align:center;padding:.05rem .4rem;white-space:nowrap}.zero{color:gray}\n"
    ".matrix .before{border-left:1px dashed}.matrix .above{border-top:1px dashed}\n"
    ".steps{margin:1rem 0;border-spacing:0}.steps td{padding:.15rem 1.5rem .15rem "
    "0;vertical-align:top}.steps td:first-child{white-space:nowrap}\n"
    "@media(max-width:40rem){.steps td,.steps td:first-child{display:block;white-space:normal}.steps "
    "td+td{padding:0 0 .5rem 1.5rem}}\n"
    ".drawing td{text-align:center;padding:.4rem;white-space:nowrap}\n"
    ".box{display:inline-block;border:2px solid;border-radius:.4rem;padding:.3rem .7rem}\n"
    "@media "
    "print{body{font-size:11px;max-width:none;padding:0;margin:0}.matrix td{padding:.05em "
    ".3em}.equation{font-size:9px;overflow:visible;"
    "background:none}h2 a,nav{display:none}.equation,.steps "
    "tr,.drawing{break-inside:avoid}h2{break-after:avoid}}\n";

static void html_character(FILE *file, const char *text, size_t length)
{
    if (*text == '<' || *text == '>' || *text == '&')
        fputs(*text == '<' ? "&lt;" : *text == '>' ? "&gt;" : "&amp;", file);
    else
        fprintf(file, "%.*s", (int)length, text);
}

/* Variables: a letter that stands alone, Latin or small Greek. */
static bool is_variable(const char *text, size_t letters)
{
    const bool greek = strncmp(text, "α", 2) >= 0 && strncmp(text, "ω", 2) <= 0;
    return letters == 1 || greek;
}

/* A formula up to a dollar sign or its end; returns where it stopped. */
static const char *html_formula(FILE *file, const char *text)
{
    while (*text && *text != '$') {
        size_t letters = 0, length = sheet_character_length(text);
        const size_t index = sheet_index_length(text);
        while (isalpha((unsigned char)text[letters]))
            letters++;
        if (index) {
            fputs(isalpha((unsigned char)text[1]) ? "<sub><i>" : "<sub>", file);
            fprintf(file, "%.*s", (int)index - 1, text + 1);
            fputs(isalpha((unsigned char)text[1]) ? "</i></sub>" : "</sub>", file);
            length = index;
        } else if (!strncmp(text, "ᵀ", strlen("ᵀ"))) {
            fputs("<sup>T</sup>", file); /* some fonts have no legible glyph of their own */
        } else if (is_variable(text, letters)) {
            fprintf(file, "<i>%.*s</i>", (int)length, text);
        } else if (letters) {
            fprintf(file, "%.*s", (int)letters, text);
            length = letters;
        } else {
            html_character(file, text, length);
        }
        text += length;
    }
    return text;
}

static void html_prose(FILE *file, const char *text)
{
    while (*text)
        if (*text == '$') {
            fputs("<span class=\"math\">", file);
            text = html_formula(file, text + 1);
            fputs("</span>", file);
            text += *text == '$';
        } else {
            html_character(file, text, sheet_character_length(text));
            text += sheet_character_length(text);
        }
}

static void html_begin(const struct sheet *sheet, const char *title)
{
    fprintf(
        sheet->file,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n<style>\n%s</style>\n"
        "<h1 id=\"top\">%s</h1>\n",
        title, style, title);
}

static void html_end(const struct sheet *sheet)
{
    fputs("</html>\n", sheet->file);
}

static void html_contents(const struct sheet *sheet, int entries, const struct sheet_entry *entry)
{
    fputs("<nav><ol>\n", sheet->file);
    for (int i = 0; i < entries; i++) {
        fprintf(sheet->file, "<li><a href=\"#%s\">", entry[i].name);
        html_prose(sheet->file, entry[i].title);
        fputs("</a>\n", sheet->file);
    }
    fputs("</ol></nav>\n", sheet->file);
}

static void html_heading(const struct sheet *sheet, const struct sheet_entry *entry)
{
    fprintf(sheet->file, "<h2 id=\"%s\"><a href=\"#top\" title=\"to the top\">↑</a>", entry->name);
    html_prose(sheet->file, entry->title);
    fputs("</h2>\n", sheet->file);
}

static void html_paragraph(const struct sheet *sheet, const char *text)
{
    fputs("<p>", sheet->file);
    html_prose(sheet->file, text);
    fputs("</p>\n", sheet->file);
}

static void html_cell(FILE *file, const struct sheet_matrix *m, int row, int column)
{
    const char *cell = sheet_cell(m, row, column);
    fprintf(file, "<td class=\"%s%s%s\">", strcmp(cell, "0") ? "" : "zero ",
            sheet_border_before(m, column) ? "before " : "", sheet_border_above(m, row) ? "above" : "");
    html_formula(file, cell);
    fputs("</td>", file);
}

static void html_line(const struct sheet *sheet, int parts, const struct sheet_part *part)
{
    fputs("<div class=\"equation\">", sheet->file);
    for (int i = 0; i < parts; i++) {
        const struct sheet_matrix *m = part[i].matrix;
        fputs(m ? "<table class=\"matrix\">" : "<span>", sheet->file);
        if (!m)
            html_formula(sheet->file, part[i].words);
        for (int row = 0; m && row < m->rows; row++) {
            fputs("<tr>", sheet->file);
            for (int column = 0; column < m->columns; column++)
                html_cell(sheet->file, m, row, column);
            fputs("</tr>\n", sheet->file);
        }
        fputs(m ? "</table>" : "</span>", sheet->file);
    }
    fputs("</div>\n", sheet->file);
}

static void html_derivation(const struct sheet *sheet, int steps, const struct sheet_step *step)
{
    fputs("<table class=\"steps\">\n", sheet->file);
    for (int i = 0; i < steps; i++) {
        fputs("<tr><td class=\"math\">", sheet->file);
        html_formula(sheet->file, step[i].formula);
        fputs("</td><td>", sheet->file);
        html_prose(sheet->file, step[i].reason);
        fputs("</td></tr>\n", sheet->file);
    }
    fputs("</table>\n", sheet->file);
}

static void html_drawing(const struct sheet *sheet, int rows, int columns, const struct sheet_box *box)
{
    fputs("<div class=\"equation\"><table class=\"drawing\">\n", sheet->file);
    for (int i = 0; i < rows * columns; i++) {
        fputs(i % columns ? "<td>" : "<tr><td>", sheet->file);
        fputs(box[i].size ? "<span class=\"box\">" : "<span>", sheet->file);
        html_formula(sheet->file, box[i].title);
        if (box[i].size) {
            fputs("<br>", sheet->file);
            html_formula(sheet->file, box[i].size);
        }
        fputs((i + 1) % columns ? "</span></td>" : "</span></td></tr>\n", sheet->file);
    }
    fputs("</table></div>\n", sheet->file);
}

/* 110 characters of matrices fill the width of a page in print, in the size that the style gives them there. */
const struct sheet_format sheet_format_html = {.name = "html",
                                               .width = 110,
                                               .height = 1000,
                                               .begin = html_begin,
                                               .end = html_end,
                                               .contents = html_contents,
                                               .heading = html_heading,
                                               .paragraph = html_paragraph,
                                               .line = html_line,
                                               .derivation = html_derivation,
                                               .drawing = html_drawing};
