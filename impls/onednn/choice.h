/* Which of the library's ways to do one pass is the fastest, by trial: that depends on shape and machine, and the
 * library does not know it. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_ONEDNN_CHOICE_H
#define TRIPASS_ONEDNN_CHOICE_H

#include "onednn/primitive.h"
#include "onednn/shim.h"

enum { ONEDNN_VARIANTS_MAX = 4 };

struct onednn_choice {
    const struct onednn_variant *variant;
    dnnl_primitive_t primitive;
    int untried; /* others that might be faster: of an estimate, which takes the first */
};

/* The fastest of n variants for the plan's problem, output and as many threads as OpenMP now has; asked again for the
 * same, the one that won. For a plan that is an estimate nothing is executed. Returns NULL, or the reason why there is none. The caller destroys the primitive. */
const char *onednn_choose(const struct conv_plan *plan, const struct onednn_library *library,
                          const struct onednn_variant *variants, int n, struct onednn_choice *choice);

#endif
