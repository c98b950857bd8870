/* CSV rows from one table of columns per file. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "record.h"

#include "activation.h"
#include "problem_string.h"
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { NAME, TEXT, INT, REAL, STATUS }; /* const char *, char[], int, double, enum status */

struct column {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define POINT(name, kind, member)                                                                            \
    {                                                                                                        \
        name, kind, offsetof(struct point, member)                                                           \
    }
static const struct column point_columns[] = {
    POINT("impl", NAME, impl),
    POINT("family", NAME, family),
    POINT("pass", NAME, pass),
    POINT("problem", TEXT, problem),
    POINT("name", NAME, name),
    POINT("mult", INT, mult),
    POINT("g", INT, shape.g),
    POINT("mb", INT, shape.mb),
    POINT("ic", INT, shape.ic),
    POINT("ih", INT, shape.ih),
    POINT("iw", INT, shape.iw),
    POINT("oc", INT, shape.oc),
    POINT("oh", INT, shape.oh),
    POINT("ow", INT, shape.ow),
    POINT("kh", INT, shape.kh),
    POINT("kw", INT, shape.kw),
    POINT("sh", INT, shape.sh),
    POINT("sw", INT, shape.sw),
    POINT("ph", INT, shape.ph),
    POINT("pw", INT, shape.pw),
    POINT("dh", INT, shape.dh),
    POINT("dw", INT, shape.dw),
    POINT("threads", INT, threads),
    POINT("rep", INT, rep),
    POINT("isa", NAME, isa),
    POINT("cache", NAME, cache),
    POINT("bias", INT, bias),
    POINT("act", NAME, act),
    POINT("cache_sets", INT, sets),
    POINT("policy", NAME, policy),
    POINT("smt", INT, smt),
    POINT("numa", NAME, numa),
    POINT("status", STATUS, status),
    POINT("reason", TEXT, reason),
    POINT("detail", TEXT, detail),
    POINT("err_reference", REAL, err_reference),
    POINT("err_onednn", REAL, err_onednn),
    POINT("tolerance", REAL, tolerance),
    POINT("compared", REAL, compared),
    POINT("summed", REAL, summed),
    POINT("n", INT, time.n),
    POINT("t_min_s", REAL, time.min),
    POINT("t_median_s", REAL, time.median),
    POINT("t_lo_s", REAL, time.lo),
    POINT("t_hi_s", REAL, time.hi),
    POINT("t_import_s", REAL, import_s),
    POINT("t_export_s", REAL, export_s),
    POINT("t_sgd_s", REAL, sgd_s),
    POINT("t_plan_s", REAL, plan_s),
    POINT("inner_reps", INT, inner_reps),
    POINT("stop_reason", NAME, stop_reason),
    POINT("gflops", REAL, gflops),
    POINT("peak_gflops", REAL, peak_gflops),
    POINT("pct_peak", REAL, pct_peak),
    POINT("flop", REAL, flop),
    POINT("flop_valid", REAL, flop_valid),
    POINT("bytes_compulsory", REAL, bytes_compulsory),
    POINT("intensity", REAL, intensity),
    POINT("native_bytes", REAL, native_bytes),
    POINT("scratch_bytes", REAL, scratch_bytes),
    POINT("pinned", REAL, pinned),
    POINT("flags", TEXT, flags),
    POINT("attempt", INT, attempt),
    POINT("steal_s", REAL, steal_s),
    POINT("throttled_s", REAL, throttled_s),
    POINT("wait_s", REAL, wait_s),
    POINT("involuntary_switches", REAL, switches),
    POINT("minor_faults", REAL, minor_faults),
    POINT("major_faults", REAL, major_faults),
    POINT("clock_pct", REAL, clock_pct),
    POINT("drift_pct", REAL, drift_pct),
    POINT("drift_rho", REAL, drift_rho),
    POINT("handoff_ns", REAL, handoff_ns),
    POINT("handoff_spread", REAL, handoff_spread),
    POINT("seed", TEXT, seed),
    {0},
};

#define SAMPLE(name, kind, member)                                                                           \
    {                                                                                                        \
        name, kind, offsetof(struct sample, member)                                                          \
    }
static const struct column sample_columns[] = {
    SAMPLE("impl", NAME, impl),
    SAMPLE("pass", NAME, pass),
    SAMPLE("problem", NAME, problem),
    SAMPLE("threads", INT, threads),
    SAMPLE("rep", INT, rep),
    SAMPLE("round", INT, round),
    SAMPLE("order", INT, order),
    SAMPLE("t_s", REAL, t_s),
    SAMPLE("attempt", INT, attempt),
    SAMPLE("handoff_ns", REAL, handoff_ns),
    {0},
};

const char *status_name(enum status status)
{
    static const char *const names[] = {"OK", "SKIP", "FAIL", "CRASH", "TIMEOUT"};
    return names[status];
}

void csv_field(FILE *file, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, file);
        return;
    }
    putc('"', file);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', file);
        putc(*text, file);
    }
    putc('"', file);
}

static void print_header(FILE *file, const struct column *columns)
{
    for (int i = 0; columns[i].name; i++)
        fprintf(file, "%s%s", i ? "," : "", columns[i].name);
    putc('\n', file);
}

/* Whole numbers (flop, bytes) in full, others to the precision of a float and better. */
static void print_real(FILE *file, double value)
{
    if (!isnan(value))
        fprintf(file, value == rint(value) && fabs(value) < 0x1p53 ? "%.0f" : "%.9g", value);
}

static void print_row(FILE *file, const struct column *columns, const void *row)
{
    for (int i = 0; columns[i].name; i++) {
        const void *member = (const char *)row + columns[i].offset;
        if (i)
            putc(',', file);
        switch (columns[i].kind) {
        case NAME: csv_field(file, *(const char *const *)member); break;
        case TEXT: csv_field(file, member); break;
        case INT: fprintf(file, "%d", *(const int *)member); break;
        case STATUS: fputs(status_name(*(const enum status *)member), file); break;
        case REAL: print_real(file, *(const double *)member); break;
        }
    }
    putc('\n', file);
}

void point_print_header(FILE *file)
{
    print_header(file, point_columns);
}

void point_print(FILE *file, const struct point *point)
{
    print_row(file, point_columns, point);
}

void sample_print_header(FILE *file)
{
    print_header(file, sample_columns);
}

void sample_print(FILE *file, const struct sample *sample)
{
    print_row(file, sample_columns, sample);
}

struct point point_of(const struct study *study, const struct layer *layer, enum conv_tensor output,
                      const struct conv_impl *impl)
{
    const double missing = (double)NAN;
    struct point point = {
        .impl = impl->name,
        .family = impl->family,
        .pass = conv_pass_name(output),
        .name = layer->name,
        .isa = isa_name(study->isa),
        .cache = study->cache == CACHE_COLD ? "cold" : "warm",
        .act = activations[study->layer.activation].name,
        .policy = study->placement.policy ? study->placement.policy : "compact",
        .smt = study->placement.smt,
        .numa = study->interleave ? "interleave" : "firsttouch",
        .stop_reason = "",
        .mult = layer->multiplicity,
        .bias = study->layer.bias,
        .shape = layer->problem,
        .err_reference = missing,
        .err_onednn = missing,
        .tolerance = missing,
        .compared = missing,
        .summed = missing,
        .time = {0, missing, missing, missing, missing},
        .import_s = missing,
        .export_s = missing,
        .sgd_s = missing,
        .plan_s = missing,
        .gflops = missing,
        .peak_gflops = missing,
        .pct_peak = missing,
        .flop = conv_flop_nominal(&layer->problem),
        .flop_valid = conv_flop_valid(&layer->problem),
        .native_bytes = missing,
        .scratch_bytes = missing,
        .steal_s = missing,
        .throttled_s = missing,
        .wait_s = missing,
        .switches = missing,
        .minor_faults = missing,
        .major_faults = missing,
        .clock_pct = missing,
        .drift_pct = missing,
        .drift_rho = missing,
        .handoff_ns = missing,
        .handoff_spread = missing,
        .pinned = missing,
    };
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        point.bytes_compulsory += (double)conv_elements(&layer->problem, t) * sizeof(float);
    point.intensity = point.flop / point.bytes_compulsory;
    snprintf(point.seed, sizeof point.seed, "%" PRIu64, study->seed);
    problem_string_print(&layer->problem, point.problem, sizeof point.problem);
    return point;
}

void point_set_status(struct point *point, enum status status, const char *format, ...)
{
    va_list arguments;
    point->status = status;
    va_start(arguments, format);
    vsnprintf(point->reason, sizeof point->reason, format, arguments);
    va_end(arguments);
}

static bool complain(const char *what, const char *name, const char *hint)
{
    fprintf(stderr, "tripass: cannot %s %s: %s; try %s\n", what, name, strerror(errno), hint);
    return false;
}

static bool make_directories(const char *path)
{
    char *copy = strdup(path);
    bool made = true;
    for (char *slash = copy + 1; made && *copy; slash++) {
        bool last = !*slash;
        if (!last && *slash != '/')
            continue;
        *slash = '\0';
        made = !mkdir(copy, 0777) || errno == EEXIST;
        if (last)
            break;
        *slash = '/';
    }
    free(copy);
    return made;
}

static bool write_header(int file, void (*header)(FILE *))
{
    char *line;
    size_t bytes;
    FILE *text = open_memstream(&line, &bytes);
    header(text);
    fclose(text);
    bool written = record_write(file, line, bytes);
    free(line);
    return written;
}

/* Opens dir/name; -1 on failure, which has been said then. */
static int open_table(const char *dir, const char *name, int flags)
{
    char *path;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return -1;
    int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0666);
    if (file < 0 && errno == EEXIST)
        fprintf(stderr, "tripass: %s: holds results already; try another directory, --resume or --force\n",
                path);
    else if (file < 0)
        complain("create", path, "another directory with -o");
    free(path);
    return file;
}

/* A new one, with its header line. */
static int begin_table(const char *dir, const char *name, void (*header)(FILE *), bool force)
{
    const int file = open_table(dir, name, O_CREAT | (force ? O_TRUNC : O_EXCL));
    return file >= 0 && write_header(file, header) ? file : -1;
}

bool record_open(struct record *record, const char *out, bool phases, bool force)
{
    *record = (struct record){.points = -1, .samples = -1, .phases = -1};
    if (!strcmp(out, "-")) {
        record->points = STDOUT_FILENO;
        return write_header(record->points, point_print_header);
    }
    record->dir = out;
    if (!make_directories(out))
        return complain("create the directory", out, "another directory with -o");
    record->points = begin_table(out, "points.csv", point_print_header, force);
    if (record->points < 0)
        return false;
    record->samples = begin_table(out, "samples.csv", sample_print_header, force);
    if (phases && record->samples >= 0)
        record->phases = begin_table(out, "phases.csv", profile_print_header, force);
    return record->samples >= 0 && (!phases || record->phases >= 0);
}

bool record_reopen(struct record *record, const char *dir, bool phases)
{
    *record = (struct record){.points = open_table(dir, "points.csv", 0),
                              .samples = open_table(dir, "samples.csv", 0),
                              .phases = phases ? open_table(dir, "phases.csv", 0) : -1,
                              .dir = dir};
    return record->points >= 0 && record->samples >= 0 && (!phases || record->phases >= 0);
}

/* The first `bytes` of a row that found no room are taken back, where that is possible, so that all rows are whole. */
static void take_back(int file, size_t bytes)
{
    struct stat status;
    if (bytes && !fstat(file, &status) && S_ISREG(status.st_mode) &&
        ftruncate(file, status.st_size - (off_t)bytes))
        return; /* --resume drops what is torn */
}

bool record_write(int file, const char *text, size_t bytes)
{
    const char *begin = text;
    while (bytes) {
        ssize_t written = write(file, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            complain("write", file == STDOUT_FILENO ? "the points to standard output" : "results",
                     "-o DIR on a disk with room");
            take_back(file, (size_t)(text - begin));
            return false;
        }
        text += written;
        bytes -= (size_t)written;
    }
    return true;
}

/* Whether dir/name is still the open file. */
static bool is_there(int file, const char *dir, const char *name)
{
    char *path;
    struct stat open, now;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return false;
    const bool there =
        !fstat(file, &open) && !stat(path, &now) && open.st_dev == now.st_dev && open.st_ino == now.st_ino;
    free(path);
    return there;
}

bool record_close(struct record *record, bool quiet)
{
    const struct {
        int file;
        const char *name;
    } tables[] = {
        {record->points, "points.csv"}, {record->samples, "samples.csv"}, {record->phases, "phases.csv"}};
    bool good = true;
    for (size_t i = 0; record->dir && i < sizeof tables / sizeof *tables; i++) {
        if (tables[i].file < 0)
            continue;
        const bool there = is_there(tables[i].file, record->dir, tables[i].name);
        const bool closed = !close(tables[i].file);
        if (good && !quiet && !there)
            fprintf(stderr,
                    "tripass: %s/%s: removed or replaced while the study ran, its rows are lost; try again\n",
                    record->dir, tables[i].name);
        else if (good && !quiet && !closed)
            complain("finish", record->dir, "-o DIR on a disk with room");
        good = good && there && closed;
    }
    return good;
}

static char *lock_path(const char *dir)
{
    char *path;
    return asprintf(&path, "%s/.lock", dir) < 0 ? NULL : path;
}

/* A file, because not every file system locks directories; it is removed at the end, so whoever has locked one looks
 * whether it is still there. */
int record_lock(const char *dir)
{
    if (!make_directories(dir)) {
        complain("create the directory", dir, "another directory with -o");
        return -1;
    }
    char *path = lock_path(dir);
    int lock;
    do {
        lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
        if (lock < 0) {
            complain("create", path ? path : dir, "another directory with -o");
        } else if (flock(lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
            fprintf(stderr, "tripass: %s: another tripass writes there; try another directory, or wait\n",
                    dir);
            close(lock);
            lock = -1;
        } else if (!is_there(lock, dir, ".lock")) {
            close(lock);
            lock = -2;
        }
    } while (lock == -2);
    free(path);
    return lock;
}

void record_unlock(const char *dir, int lock)
{
    char *path = lock < 0 ? NULL : lock_path(dir);
    if (path && is_there(lock, dir, ".lock"))
        unlink(path);
    if (lock >= 0)
        close(lock);
    free(path);
}
