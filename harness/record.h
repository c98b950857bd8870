/* The rows that a study leaves. points.csv: one per implementation, pass, problem, thread count and repetition;
 * samples.csv: one per timed call; RFC 4180, units in the names, %.9g, empty = missing.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RECORD_H
#define TRIPASS_RECORD_H

#include "stats.h"
#include "study.h"

#include <stdio.h>

enum status { STATUS_OK, STATUS_SKIP, STATUS_FAIL, STATUS_CRASH, STATUS_TIMEOUT };

/* "OK", "SKIP", ... */
const char *status_name(enum status status);

/* A row of points.csv. NAN is written as empty. Times in seconds. */
struct point {
    const char *impl, *family, *pass, *name, *isa, *cache, *policy, *numa, *act, *stop_reason;
    enum status status;
    char problem[256], reason[256], detail[64];
    int mult, bias;
    struct conv_problem shape;
    int threads, rep, smt;
    int sets; /* of tensors that runs rotate through; 1 with warm caches, 0 if nothing ran */
    double err_reference,
        err_onednn;   /* largest |error| / sum |a*b| against the reference and against oneDNN: truth_scale */
    double tolerance; /* what err_reference may be */
    double compared,
        summed; /* outputs that were compared one by one with the definition or oneDNN; and in sums (sums.h) */
    struct stats
        time; /* of one state of the cores if they moved: time.n may be less than there are samples */
    double import_s, export_s, sgd_s, plan_s; /* both inputs in; the output out; SGD step (upd); planning */
    int inner_reps;                           /* calls per sample */
    double gflops;                            /* nominal, at the median time */
    double peak_gflops; /* FMA ceiling at this thread count and ISA, median over the same rounds */
    double pct_peak;
    double flop, flop_valid;
    double bytes_compulsory; /* each plain tensor once: two read, one written */
    double intensity;        /* flop / bytes_compulsory */
    double native_bytes, scratch_bytes;
    char flags[96]; /* noise_flags */
    int attempt;    /* 0; 1 and more: measured again because the one before had flags */
    double steal_s, throttled_s, wait_s, switches, minor_faults, major_faults, clock_pct, drift_pct,
        drift_rho;
    double
        handoff_ns; /* median over the rounds that `time` is of: there and back between neighbors of the team */
    double handoff_spread; /* of all rounds that the point attended; above 2.5 it moved: handoff.h */
    double pinned;         /* 1: every thread was on its core before and after; 0: not; NAN: nothing ran */
    char seed[24];
};

struct sample {
    const char *impl, *pass, *problem;
    int threads, rep, attempt, round, order;
    double t_s;
    double handoff_ns; /* of the round */
};

/* The row of a point of which nothing is known yet. */
struct point point_of(const struct study *study, const struct layer *layer, enum conv_tensor output,
                      const struct conv_impl *impl);
void point_set_status(struct point *point, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One line each, with its line feed. */
void point_print_header(FILE *file);
void point_print(FILE *file, const struct point *point);
void sample_print_header(FILE *file);
void sample_print(FILE *file, const struct sample *sample);

/* One field, quoted if it must be. */
void csv_field(FILE *file, const char *text);

/* The open files of a study's output. */
struct record {
    int points, samples; /* file descriptors; samples is -1 for stdout */
    int phases;          /* -1 for stdout, or if nothing is profiled */
    const char *dir;     /* NULL for stdout */
};

/* Opens `out` ("-": stdout), with a phases.csv or not, and writes the header lines. Makes missing directories. On failure
 * prints the line that says why and returns false; results that are there already are a failure unless force. */
bool record_open(struct record *record, const char *out, bool phases, bool force);

/* The same for a directory whose tables go on: no header. */
bool record_reopen(struct record *record, const char *dir, bool phases);

/* Writes all of it in one write() where the system takes it whole. On failure prints the line that says why. */
bool record_write(int file, const char *text, size_t bytes);

/* Closes the files. False, with a line unless `quiet`, if one of them cannot be finished or is not where it was. */
bool record_close(struct record *record, bool quiet);

/* Makes the directory and locks it against other processes, for as long as this one lives. -1 on failure, which is said;
 * else a descriptor for record_unlock, which takes -1 for nothing. */
int record_lock(const char *dir);
void record_unlock(const char *dir, int lock);

#endif
