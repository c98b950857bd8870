/* machine.json: who measured, with what, and whether it finished.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_MACHINE_H
#define TRIPASS_MACHINE_H

#include "ceiling.h"
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
    struct ceiling *ceilings; /* study->thread_count; threads 0: not measured */
    struct json_t *before;    /* of a resumed study: its machine.json; else NULL */
};

/* Writes DIR/machine.json: to a temporary file, then renamed. On failure prints the line that says why. */
bool machine_write(const struct machine *machine, const char *dir);

/* What DIR/machine.json says, to be freed with machine_forget; NULL if there is none. */
struct json_t *machine_read(const char *dir);
void machine_forget(struct json_t *before);

/* NULL if machine->before tells of the same machine, build and command line (but for --resume) as *machine; else which
 * of them differs. */
const char *machine_difference(const struct machine *machine);

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
