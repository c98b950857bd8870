/* Elementwise functions y = phi(z) and their derivatives. Each derivative is written as a function of the output
 * y, so that a layer need not keep z.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_ACTIVATION_H
#define TRIPASS_ACTIVATION_H

#include "conv.h"

/* Indexed by enum activation_kind. */
struct activation {
    const char *name;
    float (*apply)(float z);           /* phi(z) */
    float (*derivative)(float output); /* phi'(z), given phi(z) */
};

/* The last element has a NULL name. */
extern const struct activation activations[];

/* The one of that name, or NULL. */
const struct activation *activation_find(const char *name);

/* y[i] = phi(y[i]). */
void activation_apply(const struct activation *activation, float *y, size_t elements);

/* dz[i] = dy[i] * phi'(z[i]), the chain rule; y: the layer's output. dz may be dy. */
void activation_backward(const struct activation *activation, const float *y, const float *dy, float *dz,
                         size_t elements);

#endif
