/* machine.json: who measured, with what, and whether it finished.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_MACHINE_H
#define TRIPASS_MACHINE_H

#include "ceiling.h"
#include "quiet.h"
#include "study.h"
#include "topology.h"

#include <time.h>

struct json_t;

struct machine {
    const struct topology *topology;
    const struct study *study;
    int argc;
    char **argv;
    time_t start, end; /* end 0: still running */
    bool completed;
    struct quiet quiet;       /* as it was at the start; all zero: nobody has looked */
    struct ceiling *ceilings; /* study->thread_count; threads 0: not measured */
    struct json_t *before;    /* of a resumed study: its machine.json; else NULL */
};

/* What machine.json says of it; for json_decref. */
struct json_t *machine_json(const struct machine *machine);

/* Writes DIR/machine.json: to a temporary file, then renamed. On failure prints the line that says why. */
bool machine_write(const struct machine *machine, const char *dir);

/* Reads the machine.json of a study that is to be resumed into machine->before. True if it tells of the same machine,
 * build and study; what the study may take (budget, timeout, memory) and how it was typed may differ, and repetitions may
 * become more. Otherwise prints the line that says what differs, or what is wrong with the file. */
bool machine_resume(struct machine *machine, const char *dir);

void machine_forget(struct machine *machine); /* what machine_resume has read */

/* How many OpenMP runtimes this process has loaded, and their file names, ", " between them. */
int machine_openmp_runtimes(char *names, size_t size);

/* "2.6.3", or "" if the library is not loaded. */
const char *machine_onednn_version(char *text, size_t size);
const char *machine_openblas_config(void);
const char *machine_hwloc_version(char *text, size_t size);
const char *machine_cpu_model(char *text, size_t size);

/* What stands in machine.json and belongs into --help: how times are taken and operations counted. */
extern const char machine_timing_statement[], machine_flop_statement[], machine_cache_statement[];

/* Version of this build: git describe, or the project's version. */
extern const char machine_version[];

#endif
