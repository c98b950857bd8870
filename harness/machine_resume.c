/* Is the study that a machine.json tells of the one that is to go on? SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "machine.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What must be the same: a part of machine.json, of that one member or all, and what its difference is called. */
static const struct {
    const char *part, *member, *what;
} compared[] = {{"cpu", NULL, "machine"}, {"topology", NULL, "machine"}, {"system", "host", "machine"},
                {"build", NULL, "build"}, {"libraries", NULL, "build"},  {"study", NULL, "study"}};

/* Members of "study" that say how it was typed and what it may take: no row means anything else because of them. */
static bool may_differ(const char *member, const json_t *before, const json_t *now)
{
    static const char *const free_ones[] = {"command_line", "budget_s", "timeout_s", "memory_limit_bytes"};
    for (size_t i = 0; i < sizeof free_ones / sizeof *free_ones; i++)
        if (!strcmp(member, free_ones[i]))
            return true;
    return !strcmp(member, "repetitions") && json_integer_value(before) > 0 &&
           json_integer_value(before) <= json_integer_value(now);
}

/* For the line that says what differs: a value as JSON, no longer than a line should be. */
static const char *short_text(const json_t *value, char *text, size_t size)
{
    char *all =
        value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9))
              : NULL;
    snprintf(text, size, "%s", all ? all : "nothing");
    if (all && strlen(all) >= size)
        memcpy(text + size - 4, "...", 4);
    free(all);
    return text;
}

static void say_difference(const char *dir, const char *what, const char *member, json_t *before, json_t *now)
{
    char was[96], is[96], index[24] = "";
    for (size_t i = 0; json_is_array(before) && json_is_array(now); i++) {
        json_t *a = json_array_get(before, i), *b = json_array_get(now, i);
        if (a && b && json_equal(a, b))
            continue;
        snprintf(index, sizeof index, "[%zu]", i);
        before = a;
        now = b;
        break;
    }
    fprintf(stderr,
            "tripass: --resume: %s was begun with another %s: %s%s %s, not %s; try the same, or another "
            "directory\n",
            dir, what, member, index, short_text(before, was, sizeof was), short_text(now, is, sizeof is));
}

/* True if nothing differs; else the line is printed. */
static bool is_same(const char *dir, json_t *before, json_t *now)
{
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        const char *member;
        json_t *is, *part = json_object_get(before, compared[i].part);
        json_object_foreach(json_object_get(now, compared[i].part), member, is)
        {
            json_t *was = json_object_get(part, member);
            const bool matters = !compared[i].member || !strcmp(member, compared[i].member);
            if (!matters || (was && json_equal(was, is)) || (part && may_differ(member, was, is)))
                continue;
            say_difference(dir, compared[i].what, member, was, is);
            return false;
        }
    }
    return true;
}

/* What the file of a study that goes on hands down to the new one has the right types. */
static bool is_sound(const json_t *root)
{
    const json_t *resumed = json_object_get(root, "resumed"), *ceilings = json_object_get(root, "ceilings");
    bool sound = json_is_string(json_object_get(root, "start")) && json_is_array(ceilings) &&
                 (!resumed || json_is_integer(resumed));
    for (size_t i = 0; i < json_array_size(ceilings); i++)
        sound = sound && json_is_integer(json_object_get(json_array_get(ceilings, i), "threads"));
    return sound;
}

/* The JSON as it is when it has been written and read: numbers keep 9 digits. To be freed. */
static json_t *as_written(json_t *json)
{
    char *text = json_dumps(json, JSON_REAL_PRECISION(9));
    json_t *read = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return read;
}

bool machine_resume(struct machine *machine, const char *dir)
{
    char *path;
    json_error_t error;
    if (asprintf(&path, "%s/machine.json", dir) < 0)
        return false;
    json_t *before = json_load_file(path, 0, &error), *now = machine_json(machine),
           *written = as_written(now);
    bool same = before && written && is_sound(before);
    if (!before)
        fprintf(stderr, "tripass: %s: %s; try another directory\n", path, error.text);
    else if (!same)
        fprintf(stderr, "tripass: %s: not as tripass writes it; try another directory\n", path);
    else
        same = is_same(dir, before, written);
    machine->before = before;
    json_decref(now);
    json_decref(written);
    free(path);
    return same;
}

void machine_forget(struct machine *machine)
{
    json_decref(machine->before);
}
