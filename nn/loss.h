/* What a network is trained to make small, averaged over the mb examples. scores: mb x classes, the last layer's
 * output; label[s]: the right class. gradient: dL/dscores, mb x classes. Each returns L.
 *
 *     softmax cross-entropy   p = exp(z) / sum exp(z),  L = -mean log p[label],   dL/dz = (p - onehot) / mb
 *     squared error           L = mean sum (z - onehot)^2 / 2,                    dL/dz = (z - onehot) / mb
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_LOSS_H
#define TRIPASS_LOSS_H

typedef double loss_fn(const float *scores, const unsigned char *label, int mb, int classes, float *gradient);

struct loss {
    const char *name;
    loss_fn *apply;
};

/* softmax, squared; the last element has a NULL name. */
extern const struct loss losses[];

const struct loss *loss_find(const char *name);

/* How many of the mb examples have their largest score at their label. */
int loss_hits(const float *scores, const unsigned char *label, int mb, int classes);

#endif
