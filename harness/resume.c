/* See resume.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "resume.h"

#include "csv.h"
#include "problem_string.h"
#include "profile.h"
#include "record.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum key { IMPL, PASS, PROBLEM, THREADS, REP, ATTEMPT, STATUS, REASON, SAMPLES, KEYS };
static const char *const key_names[KEYS] = {"impl",    "pass",   "problem", "threads", "rep",
                                            "attempt", "status", "reason",  "n"};

/* What the files hold of one attempt at a point. */
struct attempt {
    bool row;    /* in points.csv */
    int n;       /* samples that its row tells of */
    int samples; /* rows in samples.csv */
};

struct table {
    const struct board *board;
    struct attempt *attempts; /* of each point, in the order of the board, as many as it may have */
    int key[KEYS];            /* columns of the file being read; -1 where it has none */
    int layer;                /* of the row before: rows of one layer follow each other */
    int done;
    int incomplete; /* rows whose samples are not all there */
    bool failed;
};

/* A row's point. */
struct spot {
    unsigned char *flag;      /* on the board: how many attempts are done */
    struct attempt *attempts; /* of the point */
    int attempt;              /* which of them the row is */
};

/* ---- whose row ---- */

static int attempts_of(const struct study *study)
{
    return study->retry_noisy + 1;
}

/* Of what tripass writes: digits alone. -1: not such a number. */
static int number_of(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    return digits && digits < 10 && !text[digits] && (*text != '0' || digits == 1) ? atoi(text) : -1;
}

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

/* False if the study has no such point. */
static bool find_spot(struct table *table, const struct csv_row *row, struct spot *spot)
{
    const struct study *study = table->board->study;
    const int impl = find_impl(study, row->field[table->key[IMPL]]);
    const int output = find_output(study, row->field[table->key[PASS]]);
    const int threads = find_threads(study, number_of(row->field[table->key[THREADS]]));
    const int layer = find_layer(study, row->field[table->key[PROBLEM]], table->layer);
    const int rep = number_of(row->field[table->key[REP]]);
    const int attempt = table->key[ATTEMPT] < 0 ? 0 : number_of(row->field[table->key[ATTEMPT]]);
    if (impl < 0 || output < 0 || threads < 0 || layer < 0 || rep < 0 || rep >= study->repetitions ||
        attempt < 0 || attempt >= attempts_of(study))
        return false;
    table->layer = layer;
    spot->flag = board_done(table->board, rep, threads, layer * study->output_count + output) + impl;
    spot->attempts =
        table->attempts + (spot->flag - board_done(table->board, 0, 0, 0)) * (ptrdiff_t)attempts_of(study);
    spot->attempt = attempt;
    return true;
}

/* ---- counting, before anything is changed. NULL, or what is wrong with the row ---- */

typedef const char *count_fn(struct table *table, const struct csv_row *row, const struct spot *spot);

static const char *count_point(struct table *table, const struct csv_row *row, const struct spot *spot)
{
    bool known = false;
    for (enum status status = STATUS_OK; status <= STATUS_TIMEOUT; status++)
        known = known || !strcmp(row->field[table->key[STATUS]], status_name(status));
    const int n = number_of(row->field[table->key[SAMPLES]]);
    if (!known)
        return "a status that there is not";
    if (n < 0)
        return "a number of samples that is none";
    for (int a = spot->attempt; a < attempts_of(table->board->study); a++)
        if (spot->attempts[a].row)
            return "a point that has been above already";
    spot->attempts[spot->attempt] = (struct attempt){.row = true, .n = n};
    return NULL;
}

static const char *count_sample(struct table *table, const struct csv_row *row, const struct spot *spot)
{
    (void)table;
    (void)row;
    spot->attempts[spot->attempt].samples++;
    return NULL;
}

/* ---- which rows stay ---- */

typedef bool keep_fn(struct table *table, const struct csv_row *row, const struct spot *spot);

/* All its attempts have all their samples, which may be more than n: n is of one state of the cores (handoff.h). Those of
 * an attempt that timed nothing are left over: its worker died. */
static bool is_whole(const struct table *table, const struct spot *spot)
{
    for (int a = 0; a < attempts_of(table->board->study); a++)
        if (spot->attempts[a].row && spot->attempts[a].n && spot->attempts[a].n > spot->attempts[a].samples)
            return false;
    return true;
}

/* A worker that was ended from outside says nothing about its implementation. */
static bool is_from_outside(const struct table *table, const struct csv_row *row)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGXCPU};
    const char *reason = row->field[table->key[REASON]];
    if (strcmp(row->field[table->key[STATUS]], status_name(STATUS_CRASH)))
        return false;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (!strncmp(reason, strsignal(signals[i]), strlen(strsignal(signals[i]))))
            return true;
    return false;
}

static bool keep_point(struct table *table, const struct csv_row *row, const struct spot *spot)
{
    const char *status = row->field[table->key[STATUS]];
    const bool whole = is_whole(table, spot);
    table->incomplete += !whole;
    if (!whole || is_from_outside(table, row))
        return false;
    table->failed |= strcmp(status, status_name(STATUS_OK)) && strcmp(status, status_name(STATUS_SKIP));
    table->done += !*spot->flag;
    ++*spot->flag;
    return true;
}

static bool keep_sample(struct table *table, const struct csv_row *row, const struct spot *spot)
{
    (void)table;
    (void)row;
    return *spot->flag && spot->attempts[spot->attempt].row && spot->attempts[spot->attempt].n;
}

static bool keep_phase(struct table *table, const struct csv_row *row, const struct spot *spot)
{
    (void)table;
    (void)row;
    return *spot->flag;
}

/* ---- the files ---- */

static const struct part {
    const char *name;
    void (*header)(FILE *);
    count_fn *count; /* or NULL */
    keep_fn *keep;
} parts[] = {{"points.csv", point_print_header, count_point, keep_point},
             {"samples.csv", sample_print_header, count_sample, keep_sample},
             {"phases.csv", profile_print_header, NULL, keep_phase}};
enum { PARTS = sizeof parts / sizeof *parts };

static void print_row(FILE *file, const struct csv_row *row)
{
    for (int i = 0; i < row->fields; i++) {
        if (i)
            putc(',', file);
        csv_field(file, row->field[i]);
    }
    putc('\n', file);
}

/* To be freed. */
static char *header_text(void (*header)(FILE *))
{
    char *text;
    size_t bytes;
    FILE *file = open_memstream(&text, &bytes);
    header(file);
    fclose(file);
    return text;
}

static bool is_header(const struct csv_row *row, void (*header)(FILE *))
{
    char *wanted = header_text(header), *found;
    size_t bytes;
    FILE *file = open_memstream(&found, &bytes);
    print_row(file, row);
    fclose(file);
    const bool same = !strcmp(wanted, found);
    free(wanted);
    free(found);
    return same;
}

/* Counts the file's rows, or (to: not NULL) copies those that stay. NULL, or what is wrong with the row that csv_read
 * gave last. */
static const char *walk_rows(struct table *table, FILE *from, FILE *to, const struct part *part,
                             struct csv_row *row)
{
    if (!csv_read(from, row) || !is_header(row, part->header))
        return row->error ? row->error : "other columns";
    const int columns = row->fields;
    for (int k = 0; k < KEYS; k++)
        table->key[k] = csv_find(row, key_names[k]);
    if (to)
        print_row(to, row);
    while (csv_read(from, row)) {
        struct spot spot;
        if (row->fields != columns)
            return "another number of fields than the first line";
        if (!find_spot(table, row, &spot))
            return "no point of this study";
        const char *wrong = to || !part->count ? NULL : part->count(table, row, &spot);
        if (wrong)
            return wrong;
        if (to && part->keep(table, row, &spot))
            print_row(to, row);
    }
    return row->error;
}

/* Prints the line that says why not; line 0: no line of it. */
static bool refuse(const char *dir, const char *name, int line, const char *why)
{
    char number[16] = "";
    if (line)
        snprintf(number, sizeof number, ":%d", line);
    fprintf(stderr, "tripass: %s/%s%s: %s; try another directory with -o\n", dir, name, number, why);
    return false;
}

/* Walks dir's file; with `temporary` into that one, which has its rows that stay then. */
static bool walk_file(struct table *table, const char *dir, const struct part *part, const char *temporary)
{
    char *path;
    struct csv_row row = {.fields = 0};
    if (asprintf(&path, "%s/%s", dir, part->name) < 0)
        return refuse(dir, part->name, 0, "no memory");
    FILE *from = fopen(path, "r"), *to = from && temporary ? fopen(temporary, "w") : NULL;
    bool good = from && (to || !temporary);
    if (!good)
        refuse(dir, part->name, 0, strerror(errno));
    const char *wrong = good ? walk_rows(table, from, to, part, &row) : NULL;
    if (wrong)
        good = refuse(dir, part->name, row.line, wrong);
    else if (good && (ferror(from) || (to && (fflush(to) || fsync(fileno(to))))))
        good = refuse(dir, part->name, 0, strerror(errno));
    if (from)
        fclose(from);
    if (to)
        fclose(to);
    csv_free(&row);
    free(path);
    return good;
}

static bool replace(const char *dir, const struct part *part, const char *temporary)
{
    char *path;
    const bool replaced = asprintf(&path, "%s/%s", dir, part->name) >= 0 && !rename(temporary, path);
    if (!replaced)
        return refuse(dir, part->name, 0, strerror(errno));
    free(path);
    return true;
}

/* Nothing is replaced before everything could be read. The points come first: samples without a point are none. */
static bool clean(struct table *table, const char *dir, int count)
{
    char *temporary[PARTS] = {NULL};
    bool good = true;
    for (int i = 0; good && i < count; i++)
        good = asprintf(&temporary[i], "%s/%s.tmp", dir, parts[i].name) >= 0 &&
               walk_file(table, dir, &parts[i], NULL);
    for (int i = 0; good && i < count; i++)
        good = walk_file(table, dir, &parts[i], temporary[i]);
    for (int i = 0; good && i < count; i++)
        good = replace(dir, &parts[i], temporary[i]);
    for (int i = 0; i < count && temporary[i]; i++) {
        unlink(temporary[i]); /* what is left where something was wrong */
        free(temporary[i]);
    }
    return good;
}

enum resume_state resume_look(const char *dir)
{
    char *path, *header = header_text(point_print_header), *text = calloc(1, strlen(header) + 2);
    if (!text || asprintf(&path, "%s/points.csv", dir) < 0)
        abort();
    FILE *file = fopen(path, "r");
    const bool absent = !file && errno == ENOENT;
    const size_t length = file ? fread(text, 1, strlen(header) + 1, file) : 0;
    enum resume_state state = RESUME_ROWS;
    if ((!file && !absent) || (file && ferror(file))) {
        refuse(dir, "points.csv", 0, strerror(errno));
        state = RESUME_IMPOSSIBLE;
    } else if (absent || (length <= strlen(header) && !memcmp(text, header, length)))
        state = RESUME_BEGINNING;
    if (file)
        fclose(file);
    free(path);
    free(header);
    free(text);
    return state;
}

int resume_load(const struct board *board, const char *dir, bool *failed)
{
    const struct study *study = board->study;
    struct table table = {.board = board};
    table.attempts =
        calloc((size_t)study->repetitions * (size_t)study->thread_count * (size_t)study_groups(study) *
                   (size_t)study->impl_count * (size_t)attempts_of(study),
               sizeof *table.attempts);
    if (!table.attempts) {
        refuse(dir, "points.csv", 0, "no memory for its points");
        return -1;
    }
    const bool cleaned = clean(&table, dir, study->phases ? PARTS : PARTS - 1);
    free(table.attempts);
    if (!cleaned)
        return -1;
    if (table.incomplete)
        fprintf(stderr,
                "tripass: --resume: %d rows of points.csv are measured again: samples.csv lacks samples of "
                "them\n",
                table.incomplete);
    *failed = table.failed;
    return table.done;
}
