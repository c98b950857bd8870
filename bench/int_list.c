/* SPDX-License-Identifier: Apache-2.0 */
#include "int_list.h"

#include "complain.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { LONGEST = 10000 }; /* more is a typing error, not a study */

static bool contains(const struct int_list *list, int value)
{
    for (int i = 0; i < list->count; i++)
        if (list->values[i] == value)
            return true;
    return false;
}

static const char *append(struct int_list *list, int value)
{
    if (contains(list, value))
        return NULL;
    if (list->count == LONGEST)
        return "more than 10000 numbers";
    list->values = must_allocate(list->values, (size_t)list->count + 1, sizeof *list->values);
    list->values[list->count++] = value;
    return NULL;
}

/* Reads a number >= 1 and moves *text behind it. */
static const char *read_number(const char **text, int *value)
{
    if (**text < '0' || **text > '9')
        return "not a list of numbers";
    char *end;
    errno = 0;
    long number = strtol(*text, &end, 10);
    if (errno == ERANGE || number > INT_MAX)
        return "a number is too large";
    if (number < 1)
        return "a number is less than 1";
    *value = (int)number;
    *text = end;
    return NULL;
}

/* One item, a or a range that starts with a. */
static const char *read_item(const char **text, struct int_list *list)
{
    int first, last, step = 1;
    bool factor = false;
    const char *reason = read_number(text, &first);
    if (reason)
        return reason;
    last = first;
    if (**text == ':') {
        ++*text;
        if ((reason = read_number(text, &last)))
            return reason;
        if (last < first)
            return "a range ends before it starts";
    }
    if (**text == ':') {
        ++*text;
        factor = **text == 'x';
        if (!factor && **text != '+')
            return "a range's step is neither xN nor +N";
        ++*text;
        if ((reason = read_number(text, &step)))
            return reason;
        if (factor && step < 2)
            return "a range's factor is less than 2";
    }
    for (int64_t value = first; !reason && value <= last; value = factor ? value * step : value + step)
        reason = append(list, (int)value);
    return reason;
}

const char *int_list_parse(const char *text, struct int_list *list)
{
    const char *reason = read_item(&text, list);
    while (!reason && *text == ',') {
        text++;
        reason = read_item(&text, list);
    }
    return reason ? reason : *text ? "not a list of numbers" : NULL;
}
