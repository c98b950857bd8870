/* Runs a study: one worker process per repetition and thread count, because only a fresh process whose OpenMP
 * places were set before it started keeps its threads where they belong (libgomp forgets hand-made pins when a
 * team shrinks), and because a crash, a hang or a lack of memory then costs one point.
 *
 *     supervisor (no OpenMP region of its own)                worker: the same program again
 *     study_run ---- fork, exec /proc/self/exe, OMP_* ------> study_work
 *               <--- pipe: finished rows -------------------- walks the groups
 *               <--- shared page: what runs right now ------- (so a culprit is known)
 *
 * Supervisor and worker parse the same command line into the same study. The worker's has one option more,
 * inserted as argv[2] (after program and subcommand): --worker=ARGUMENT. Whoever parses the command line hands
 * ARGUMENT to study_work and exits with what it returns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SUPERVISE_H
#define TRIPASS_SUPERVISE_H

#include "ceiling.h"
#include "study.h"

/* argc, argv: main's, whole. Writes points.csv, samples.csv and machine.json into study->out, or the points to
 * stdout; progress and errors go to stderr. Returns the exit status: 0 all points OK or SKIP; 1 some are FAIL,
 * CRASH or TIMEOUT; 2 the environment does not allow the study (output unwritable or full, results already there
 * and not study->force, two OpenMP runtimes, no worker can be started); 128 + signal after SIGINT or SIGTERM,
 * with everything that was finished on disk. */
int study_run(const struct study *study, int argc, char **argv);

/* The ceilings alone: for each of study->threads a worker measures them into ceilings[i], study->thread_count
 * long. The other axes are not looked at. Returns the exit status, 0 or 2. */
int study_ceilings(const struct study *study, int argc, char **argv, struct ceiling *ceilings);

/* The worker's side: argument is the text after --worker=. Returns the process's exit status. */
int study_work(const struct study *study, const char *argument);

#endif
