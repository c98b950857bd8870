/* See resume.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "resume.h"

#include "csv.h"
#include "problem_string.h"
#include "profile.h"
#include "record.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum key { IMPL, PASS, PROBLEM, THREADS, REP, ATTEMPT, KEYS };
static const char *const key_names[KEYS] = {"impl", "pass", "problem", "threads", "rep", "attempt"};

struct table {
    const struct board *board;
    int key[KEYS], status, reason; /* columns; -1 where a file has none */
    int layer;                     /* of the row before: rows of one layer follow each other */
    int done;
    bool failed;
};

/* ---- whose row ---- */

static int find_impl(const struct study *study, const char *name)
{
    int i = 0;
    while (i < study->impl_count && strcmp(study->impls[i]->name, name))
        i++;
    return i < study->impl_count ? i : -1;
}

static int find_output(const struct study *study, const char *name)
{
    int i = 0;
    while (i < study->output_count && strcmp(conv_pass_name(study->outputs[i]), name))
        i++;
    return i < study->output_count ? i : -1;
}

static int find_threads(const struct study *study, int threads)
{
    int i = 0;
    while (i < study->thread_count && study->threads[i] != threads)
        i++;
    return i < study->thread_count ? i : -1;
}

static int find_layer(const struct study *study, const char *problem, int first)
{
    char text[PROBLEM_STRING_MAX];
    for (int i = 0; i < study->layer_count; i++) {
        const int layer = (first + i) % study->layer_count;
        problem_string_print(&study->layers[layer].problem, text, sizeof text);
        if (!strcmp(text, problem))
            return layer;
    }
    return -1;
}

/* The flag of the row's point (how many attempts are done), or NULL if the study has no such point. */
static unsigned char *flag_of(struct table *table, const struct csv_row *row)
{
    const struct study *study = table->board->study;
    const int impl = find_impl(study, row->field[table->key[IMPL]]);
    const int output = find_output(study, row->field[table->key[PASS]]);
    const int threads = find_threads(study, atoi(row->field[table->key[THREADS]]));
    const int layer = find_layer(study, row->field[table->key[PROBLEM]], table->layer);
    const int rep = atoi(row->field[table->key[REP]]);
    if (impl < 0 || output < 0 || threads < 0 || layer < 0 || rep < 0 || rep >= study->repetitions)
        return NULL;
    table->layer = layer;
    return board_done(table->board, rep, threads, layer * study->output_count + output) + impl;
}

/* ---- which rows stay ---- */

typedef bool keep_fn(struct table *table, const struct csv_row *row, unsigned char *flag);

/* A worker that was killed from outside says nothing about its implementation. */
static bool keep_point(struct table *table, const struct csv_row *row, unsigned char *flag)
{
    const char *status = row->field[table->status], *killed = strsignal(SIGKILL);
    if (!strcmp(status, "CRASH") && !strncmp(row->field[table->reason], killed, strlen(killed)))
        return false;
    table->failed |= strcmp(status, "OK") && strcmp(status, "SKIP");
    table->done += !*flag;
    *flag += *flag < UCHAR_MAX;
    return true;
}

static bool keep_sample(struct table *table, const struct csv_row *row, unsigned char *flag)
{
    return atoi(row->field[table->key[ATTEMPT]]) < *flag;
}

static bool keep_phase(struct table *table, const struct csv_row *row, unsigned char *flag)
{
    (void)table;
    (void)row;
    return *flag;
}

/* ---- the files ---- */

static void print_row(FILE *file, const struct csv_row *row)
{
    for (int i = 0; i < row->fields; i++) {
        if (i)
            putc(',', file);
        csv_field(file, row->field[i]);
    }
    putc('\n', file);
}

static bool is_header(const struct csv_row *row, void (*header)(FILE *))
{
    char *wanted, *found;
    size_t bytes;
    FILE *file = open_memstream(&wanted, &bytes);
    header(file);
    fclose(file);
    file = open_memstream(&found, &bytes);
    print_row(file, row);
    fclose(file);
    const bool same = !strcmp(wanted, found);
    free(wanted);
    free(found);
    return same;
}

/* Copies the rows that stay. NULL, or what is wrong with the file. */
static const char *copy_rows(struct table *table, FILE *from, FILE *to, void (*header)(FILE *), keep_fn *keep)
{
    struct csv_row row = {.fields = 0};
    const char *wrong = csv_read(from, &row) && is_header(&row, header) ? NULL : "has other columns";
    if (!wrong) {
        const int columns = row.fields;
        for (int k = 0; k < KEYS; k++)
            table->key[k] = csv_find(&row, key_names[k]);
        table->status = csv_find(&row, "status");
        table->reason = csv_find(&row, "reason");
        print_row(to, &row);
        while (!wrong && csv_read(from, &row)) {
            unsigned char *flag = row.fields == columns ? flag_of(table, &row) : NULL;
            if (!flag)
                wrong = "has a row that is no point of this study";
            else if (keep(table, &row, flag))
                print_row(to, &row);
        }
    }
    csv_free(&row);
    return wrong;
}

/* Replaces dir/name by those of its rows that stay. */
static bool clean(struct table *table, const char *dir, const char *name, void (*header)(FILE *),
                  keep_fn *keep)
{
    char *path = NULL, *temporary = NULL;
    const char *wrong = "out of memory";
    if (asprintf(&path, "%s/%s", dir, name) >= 0 && asprintf(&temporary, "%s.tmp", path) >= 0) {
        FILE *from = fopen(path, "r"), *to = fopen(temporary, "w");
        wrong = from && to ? copy_rows(table, from, to, header, keep) : "cannot be read and written anew";
        if (from)
            fclose(from);
        if (to && (fclose(to) || wrong || rename(temporary, path)))
            wrong = wrong ? wrong : "cannot be written anew";
        if (wrong)
            unlink(temporary);
    }
    if (wrong)
        fprintf(stderr, "tripass: %s: %s; try another directory with -o\n", path ? path : dir, wrong);
    free(path);
    free(temporary);
    return !wrong;
}

bool resume_is_beginning(const char *dir)
{
    char *path;
    struct csv_row row = {.fields = 0};
    if (asprintf(&path, "%s/points.csv", dir) < 0)
        return false;
    FILE *file = fopen(path, "r");
    const bool beginning = !file || !csv_read(file, &row) || !csv_read(file, &row);
    if (file)
        fclose(file);
    csv_free(&row);
    free(path);
    return beginning;
}

int resume_load(const struct board *board, const char *dir, bool *failed)
{
    struct table table = {.board = board};
    if (!clean(&table, dir, "points.csv", point_print_header, keep_point) ||
        !clean(&table, dir, "samples.csv", sample_print_header, keep_sample) ||
        (board->study->phases && !clean(&table, dir, "phases.csv", profile_print_header, keep_phase)))
        return -1;
    *failed = table.failed;
    return table.done;
}
