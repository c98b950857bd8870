/* Reading CSV. SPDX-License-Identifier: Apache-2.0 */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

static bool put(struct csv_row *row, size_t at, char c)
{
    if (at >= row->text_size) {
        size_t size = row->text_size ? 2 * row->text_size : 256;
        char *text = realloc(row->text, size);
        if (!text)
            return false;
        row->text = text;
        row->text_size = size;
    }
    row->text[at] = c;
    return true;
}

/* Where in a field a character stands. QUOTE: behind a quote in a quoted field, its end or the first of two. */
enum place { BEGIN, PLAIN, QUOTED, QUOTE };

/* Takes the character c of a record, all but its line feed. The fields go into row->text, each ended by a zero byte.
 * NULL, or what is wrong. */
static const char *take(struct csv_row *row, enum place *place, size_t *length, char c)
{
    if (!c)
        return "a zero byte";
    if (c == '"' && *place == PLAIN)
        return "a quote within a field";
    if (c == '"' && (*place == BEGIN || *place == QUOTED)) {
        *place = *place == BEGIN ? QUOTED : QUOTE;
        return NULL;
    }
    if (c == ',' && *place != QUOTED) {
        if (++row->fields > CSV_FIELDS_MAX)
            return "too many fields";
        *place = BEGIN;
        return put(row, (*length)++, '\0') ? NULL : "no memory for it";
    }
    if (c != '"' && *place == QUOTE)
        return "text behind a closing quote";
    *place = *place == BEGIN ? PLAIN : *place == QUOTE ? QUOTED : *place;
    return put(row, (*length)++, c) ? NULL : "no memory for it";
}

/* Reads to the record's line feed, even if something is wrong: a torn record is none, whatever it holds. */
static bool read_record(FILE *file, struct csv_row *row)
{
    enum place place = BEGIN;
    size_t length = 0;
    row->fields = 1;
    row->error = NULL;
    row->line = row->line_feeds + 1;
    for (int c; (c = getc(file)) != EOF;) {
        row->line_feeds += c == '\n';
        if (c == '\n' && row->error)
            return false;
        if (c == '\n' && place != QUOTED) {
            row->error = put(row, length, '\0') ? NULL : "no memory for it";
            return !row->error;
        }
        if (!row->error)
            row->error = take(row, &place, &length, (char)c);
    }
    row->error = row->line_feeds < row->line ? NULL : "a quote without its second";
    return false;
}

bool csv_read(FILE *file, struct csv_row *row)
{
    if (!read_record(file, row))
        return false;
    char *at = row->text;
    for (int i = 0; i < row->fields; i++, at += strlen(at) + 1)
        row->field[i] = at;
    return true;
}

void csv_free(struct csv_row *row)
{
    free(row->text);
    memset(row, 0, sizeof *row);
}

int csv_find(const struct csv_row *row, const char *text)
{
    for (int i = 0; i < row->fields; i++)
        if (!strcmp(row->field[i], text))
            return i;
    return -1;
}
