/* Choices, from the command line or from measurements. SPDX-License-Identifier: Apache-2.0 */
#include "choice.h"

#include "csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The columns of points.csv that are read; the problem's sizes in the order of struct conv_problem. */
static const char *const size_columns[] = {"g",  "mb", "ic", "ih", "iw", "oc", "oh", "ow",
                                           "kh", "kw", "sh", "sw", "ph", "pw", "dh", "dw"};
enum { SIZES = sizeof size_columns / sizeof *size_columns };

static bool same_problem(const struct conv_problem *a, const struct conv_problem *b)
{
    return !memcmp(a, b, sizeof *a); /* ints without padding */
}

static struct nn_best *best_find(const struct nn_choice *choice, const struct conv_problem *problem,
                                 enum conv_tensor output)
{
    for (int i = 0; i < choice->best_count; i++)
        if (choice->best[i].output == output && same_problem(&choice->best[i].problem, problem))
            return &choice->best[i];
    return NULL;
}

static bool best_keep(struct nn_choice *choice, const struct nn_best *row)
{
    struct nn_best *known = best_find(choice, &row->problem, row->output);
    if (!known) {
        struct nn_best *grown = realloc(choice->best, sizeof *grown * (size_t)(choice->best_count + 1));
        if (!grown)
            return false;
        choice->best = grown;
        known = &grown[choice->best_count++];
        *known = *row;
    } else if (row->median_s < known->median_s) {
        *known = *row;
    }
    return true;
}

static bool row_read(const struct csv_row *row, const int column[], struct nn_best *best)
{
    int *sizes = &best->problem.g;
    for (int i = 0; i < SIZES; i++)
        sizes[i] = atoi(row->field[column[i]]);
    const char *pass = row->field[column[SIZES]], *status = row->field[column[SIZES + 2]];
    best->impl = conv_impl_find(row->field[column[SIZES + 1]]);
    best->median_s = atof(row->field[column[SIZES + 3]]);
    for (best->output = 0; best->output < CONV_TENSORS; best->output++)
        if (!strcmp(pass, conv_pass_name(best->output)))
            break;
    return best->impl && best->median_s > 0 && best->output < CONV_TENSORS && !strcmp(status, "OK");
}

/* A study's directory stands for its points.csv. */
static FILE *best_open(const char *path)
{
    char inside[4096];
    struct stat status;
    if (!stat(path, &status) && S_ISDIR(status.st_mode)) {
        snprintf(inside, sizeof inside, "%s/points.csv", path);
        path = inside;
    }
    return fopen(path, "r");
}

static bool best_read(struct nn_choice *choice, const char *path, char *why, size_t why_size)
{
    static const char *const other_columns[] = {"pass", "impl", "status", "t_median_s"};
    struct csv_row row = {0};
    FILE *file = best_open(path);
    if (!file) {
        snprintf(why, why_size, "best:%s: %s; try a points.csv that tripass run has written", path,
                 strerror(errno));
        return false;
    }
    int column[SIZES + 4], columns = 0;
    if (csv_read(file, &row))
        for (; columns < SIZES + 4; columns++) {
            column[columns] =
                csv_find(&row, columns < SIZES ? size_columns[columns] : other_columns[columns - SIZES]);
            if (column[columns] < 0)
                break;
        }
    const int fields = row.fields;
    struct nn_best best;
    bool good = columns == SIZES + 4;
    if (!good)
        snprintf(why, why_size, "best:%s: not a points.csv; try one that tripass run has written", path);
    while (good && csv_read(file, &row))
        if (row.fields == fields && row_read(&row, column, &best))
            good = best_keep(choice, &best);
    if (good && row.error) {
        snprintf(why, why_size, "best:%s: line %d: %s; try another run", path, row.line, row.error);
        good = false;
    }
    if (good && !choice->best_count) {
        snprintf(why, why_size, "best:%s: no row of it has status OK; try another run", path);
        good = false;
    }
    csv_free(&row);
    fclose(file);
    return good;
}

static const struct conv_impl *impl_named(const char *name, char *why, size_t why_size)
{
    const struct conv_impl *impl = conv_impl_find(name);
    if (!impl)
        snprintf(why, why_size, "%s: no such implementation; try tripass list", name);
    return impl;
}

/* pass:name,pass:name */
static bool passes_parse(struct nn_choice *choice, char *text, char *why, size_t why_size)
{
    for (char *item = strtok(text, ","); item; item = strtok(NULL, ",")) {
        enum conv_tensor output = 0;
        for (; output < CONV_TENSORS; output++) {
            const size_t length = strlen(conv_pass_name(output));
            if (!strncmp(item, conv_pass_name(output), length) && item[length] == ':') {
                choice->impl[output] = impl_named(item + length + 1, why, why_size);
                if (!choice->impl[output])
                    return false;
                break;
            }
        }
        if (output == CONV_TENSORS) {
            snprintf(why, why_size, "%s: not PASS:NAME; try fwd:direct,bwd:im2col", item);
            return false;
        }
    }
    return true;
}

bool nn_choice_parse(struct nn_choice *choice, const char *text, char *why, size_t why_size)
{
    memset(choice, 0, sizeof *choice);
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++)
        choice->impl[output] = conv_impl_find("direct");
    bool good = true;
    if (!strncmp(text, "best:", 5)) {
        good = best_read(choice, text + 5, why, why_size);
    } else if (strchr(text, ':')) {
        char *copy = strdup(text);
        good = copy && passes_parse(choice, copy, why, why_size);
        free(copy);
    } else {
        const struct conv_impl *impl = impl_named(text, why, why_size);
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++)
            choice->impl[output] = impl;
        good = impl != NULL;
    }
    if (!good)
        nn_choice_free(choice);
    return good;
}

void nn_choice_free(struct nn_choice *choice)
{
    free(choice->best);
    choice->best = NULL;
    choice->best_count = 0;
}

bool nn_choice_knows(const struct nn_choice *choice, const struct conv_problem *problem,
                     enum conv_tensor output)
{
    return !choice->best_count || best_find(choice, problem, output);
}

const struct conv_impl *nn_choice_for(const struct nn_choice *choice, const struct conv_problem *problem,
                                      enum conv_tensor output)
{
    const struct nn_best *best = best_find(choice, problem, output);
    return best ? best->impl : choice->impl[output];
}
