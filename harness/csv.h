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
    char *text;
    size_t text_size;
};

/* The next complete record. False at the end of the file, where a record without its line feed (a writer was killed
 * in it) does not count, and for one with more than CSV_FIELDS_MAX fields. */
bool csv_read(FILE *file, struct csv_row *row);
void csv_free(struct csv_row *row);

/* Position of the field with that text (in the header: of that column), or -1. */
int csv_find(const struct csv_row *row, const char *text);

#endif
