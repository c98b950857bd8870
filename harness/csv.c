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

/* The record's fields, each ended by a zero byte, go into row->text; the count of them is returned, 0 at the end. */
static int read_fields(FILE *file, struct csv_row *row)
{
    size_t length = 0;
    int fields = 1, c;
    bool quoted = false;
    while ((c = getc(file)) != EOF) {
        if (c == '"') {
            int next = quoted ? getc(file) : '"' + 1;
            if (next != '"') { /* opens or closes; doubled inside a quoted field it stands for itself */
                if (quoted)
                    ungetc(next, file);
                quoted = !quoted;
                continue;
            }
        }
        if (!quoted && c == '\n')
            return put(row, length, '\0') ? fields : 0;
        const bool separator = !quoted && c == ',';
        fields += separator;
        if (!put(row, length++, separator ? '\0' : (char)c))
            return 0;
    }
    return 0;
}

bool csv_read(FILE *file, struct csv_row *row)
{
    row->fields = read_fields(file, row);
    if (row->fields < 1 || row->fields > CSV_FIELDS_MAX)
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
