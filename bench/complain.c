/* SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void usage_error(const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    fprintf(stderr, "tripass: %s\n", message);
    exit(EXIT_BAD_USAGE);
}

/* Levenshtein's distance, one row of the table at a time; only the first 63 characters count. */
static int edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    int row[LONGEST + 1], width = (int)strnlen(b, LONGEST);
    for (int j = 0; j <= width; j++)
        row[j] = j;
    for (int i = 0; a[i] && i < LONGEST; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < width; j++) {
            int change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            int insert = row[j] + 1, erase = diagonal + 1;
            row[j + 1] = change < insert ? change : insert;
            if (erase < row[j + 1])
                row[j + 1] = erase;
        }
    }
    return row[width];
}

const char *nearest_name(const char *text, const char *const *names)
{
    const char *nearest = NULL;
    int fewest = (int)strlen(text) / 3 + 2;
    for (int i = 0; names[i]; i++) {
        int edits = edit_distance(text, names[i]);
        if (edits < fewest) {
            fewest = edits;
            nearest = names[i];
        }
    }
    return nearest;
}

void *must_allocate(void *old, size_t count, size_t size)
{
    size_t bytes;
    void *new = __builtin_mul_overflow(count, size, &bytes) ? NULL : realloc(old, bytes ? bytes : 1);
    if (!new)
        usage_error("no memory for %zu things of %zu bytes; try fewer problems", count, size);
    return new;
}
