/* Batch files: one problem a line; and where the shipped ones are. SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"
#include "layers.h"
#include "problem_string.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".txt";

static bool is_directory(const char *path)
{
    struct stat status;
    return !stat(path, &status) && S_ISDIR(status.st_mode);
}

const char *shapes_directory(void)
{
    static char path[PATH_MAX + sizeof "/../../bench/shapes"]; /* build/release/tripass */
    const char *said = getenv("TRIPASS_SHAPES");
    if (said)
        return said;
    if (is_directory(TRIPASS_SHAPES_DIR))
        return TRIPASS_SHAPES_DIR;
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    path[length > 0 ? length : 0] = 0;
    char *slash = strrchr(path, '/');
    strcpy(slash ? slash : path, "/../../bench/shapes");
    return path;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *shapes_names(void)
{
    static const char **names; /* read once */
    if (names)
        return names;
    names = must_allocate(NULL, 1, sizeof *names);
    size_t count = 0;
    DIR *directory = opendir(shapes_directory());
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        size_t length = strlen(entry->d_name);
        if (length < sizeof suffix || strcmp(entry->d_name + length - strlen(suffix), suffix))
            continue;
        names = must_allocate(names, count + 2, sizeof *names);
        names[count++] = strndup(entry->d_name, length - strlen(suffix));
    }
    if (directory)
        closedir(directory);
    qsort(names, count, sizeof *names, compare_names);
    names[count] = NULL;
    return names;
}

/* Opens a path, or a shipped table by its name. Not a device: some never end. */
static FILE *open_batch(const char *batch)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s", batch);
    if (stat(path, &status) || S_ISDIR(status.st_mode))
        snprintf(path, sizeof path, "%s/%s", shapes_directory(), batch);
    if (stat(path, &status) || S_ISDIR(status.st_mode))
        snprintf(path, sizeof path, "%s/%s%s", shapes_directory(), batch, suffix);
    if (stat(path, &status)) {
        const char *nearest = nearest_name(batch, shapes_names());
        usage_error("--batch=%s: neither a file nor a shipped table; try %s%s", batch,
                    nearest ? "--batch=" : "tripass list --shapes", nearest ? nearest : "");
    }
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode))
        usage_error("--batch=%s: neither a regular file nor a pipe; try a copy", batch);
    FILE *file = fopen(path, "r");
    if (!file)
        usage_error("--batch=%s: %s; try chmod +r", batch, strerror(errno));
    return file;
}

/* Cuts white space off both ends. */
static char *trim(char *line)
{
    static const char blanks[] = " \t\r\n";
    line += strspn(line, blanks);
    size_t length = strlen(line);
    while (length && strchr(blanks, line[length - 1]))
        line[--length] = 0;
    return line;
}

struct layers layers_read(const char *batch)
{
    struct layers layers = {NULL, 0};
    FILE *file = open_batch(batch);
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    for (int number = 1; (length = getline(&line, &room, file)) >= 0; number++) {
        if (strlen(line) != (size_t)length)
            usage_error("%s:%d: a zero byte; try a text file", batch, number);
        char why[PROBLEM_STRING_MAX], *text = trim(line);
        if (!*text || *text == '#')
            continue;
        layers.layer = must_allocate(layers.layer, (size_t)layers.count + 1, sizeof *layers.layer);
        const char *reason = problem_string_parse(text, &layers.layer[layers.count], why);
        if (reason)
            usage_error("%s:%d: %.80s: %s; try a line like mb8ic64ih56oc64kh3ph1", batch, number, text,
                        reason);
        layers.count++;
    }
    if (ferror(file))
        usage_error("--batch=%s: %s; try another file", batch, strerror(errno));
    free(line);
    fclose(file);
    if (!layers.count)
        usage_error("--batch=%s: no problem in it; try a line like mb8ic64ih56oc64kh3ph1", batch);
    return layers;
}
