/* `tripass explain`, see explain.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_EXPLAIN_H
#define TRIPASS_EXPLAIN_H

#include "lesson.h"

struct explain_options {
    const struct sheet_format *format;
    bool numbers;      /* values in the matrices instead of symbols */
    bool fragment;     /* LaTeX to \input */
    const char *parts; /* names, comma-separated; NULL: all that apply */
};

/* The parts of the lesson, in explain_*.c. Each shows its text, without the heading. */
void explain_layer(const struct lesson *lesson);
void explain_affine(const struct lesson *lesson);
void explain_activation(const struct lesson *lesson);
void explain_forward(const struct lesson *lesson);
void explain_weights(const struct lesson *lesson);
void explain_jacobian(const struct lesson *lesson);
void explain_backward(const struct lesson *lesson);
void explain_picture(const struct lesson *lesson);
void explain_update(const struct lesson *lesson);
void explain_large(const struct lesson *lesson);
void explain_step(const struct lesson *lesson);
void explain_whole(const struct lesson *lesson);
void explain_blocks(const struct lesson *lesson);
void explain_summary(const struct lesson *lesson);
void explain_winograd(const struct lesson *lesson);

/* NULL, or why a part does not apply to the problem. */
const char *explain_blocks_refuse(const struct conv_problem *problem);
const char *explain_winograd_refuse(const struct conv_problem *problem);

#endif
