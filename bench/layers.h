/* The layers of a study: from the problems and batch files on the command line, through --mb --ic --oc --hw, to
 * --match and --shard. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_LAYERS_H
#define TRIPASS_LAYERS_H

#include "options.h"

struct layers {
    struct layer *layer;
    int count;
};

/* Everything that the options select. A problem that comes up twice is there once, its multiplicities added: it
 * is one thing to measure. Mistakes (a bad problem, with file and line; an unknown file; no layer left) are
 * usage_errors. */
struct layers layers_select(const struct options *options);

/* Every line of one batch file: a path, or the name of a shipped table. */
struct layers layers_read(const char *batch);

/* The directory of the shipped tables. */
const char *shapes_directory(void);

/* Their names without ".txt", sorted, NULL at the end. */
const char *const *shapes_names(void);

#endif
