/* Reads the CSV files that a study leaves (RFC 4180 with a header line; see record.h for their columns).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CSV_H
#define TRIPASS_CSV_H

#include <stdbool.h>
#include <stdio.h>

enum { CSV_FIELDS_MAX = 128 };

/* One record. Fields point into `text`, which the next csv_read overwrites. A zeroed one is ready to read into. */
struct csv_row {
    char *field[CSV_FIELDS_MAX];
    int fields;
    int line; /* of the file, from 1, where the record begins */
    const char
        *error; /* after csv_read said false: what is wrong with the record, NULL at the end of the file */
    char *text;
    size_t text_size;
    int line_feeds; /* read so far */
};

/* The next record. False at the end of the file, where a record without its line feed (a writer was killed in it) does
 * not count, and for a record that cannot be read: a quote within a field or without its second, a zero byte, more than
 * CSV_FIELDS_MAX fields. */
bool csv_read(FILE *file, struct csv_row *row);
void csv_free(struct csv_row *row);

/* Position of the field with that text (in the header: of that column), or -1. */
int csv_find(const struct csv_row *row, const char *text);

#endif
