/* Where the time of a point goes: a run taken apart by the implementation's own marks (impls/phase.h), with import,
 * SGD step and export around it. A separate call after the samples, never one of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PROFILE_H
#define TRIPASS_PROFILE_H

#include "runner.h"

#include "phase.h"

#include <stdio.h>

enum profile_row {
    PROFILE_IMPORT,
    PROFILE_PHASES,                              /* as many as enum conv_phase has */
    PROFILE_REST = PROFILE_PHASES + CONV_PHASES, /* of the run: fork, join, and what bears no mark */
    PROFILE_SGD,
    PROFILE_EXPORT,
    PROFILE_ROWS
};

struct profile {
    double seconds
        [PROFILE_ROWS]; /* a phase of the run: the mean over the team and the calls; NAN: there is none */
    double run_s;       /* of which PHASES and REST are the parts */
};

/* Runs the runner, which holds its inputs, a few times. sgd_s: as measured, or NAN. */
struct profile profile_run(struct runner *runner, double sgd_s);

/* Rows of phases.csv, for the phases that took time; text: of a table for people instead. */
void profile_print_header(FILE *file);
void profile_print_table_header(FILE *file);
void profile_print(FILE *file, bool text, const struct profile *profile, const struct runner *runner,
                   const struct point *point);

#endif
