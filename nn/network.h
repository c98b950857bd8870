/* A stack of layers, trained by stochastic gradient descent: forward through all, the loss, backward through all,
 * a step in all.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_NETWORK_H
#define TRIPASS_NETWORK_H

#include "layer.h"
#include "loss.h"

enum { NETWORK_LAYERS_MAX = 8 };

struct network {
    int mb, layer_count;
    struct nn_layer layer[NETWORK_LAYERS_MAX];
    float
        *value[NETWORK_LAYERS_MAX + 1]; /* value[i]: input of layer i, mb images; the last one: the scores */
    float *gradient[NETWORK_LAYERS_MAX + 1]; /* of the loss, likewise; gradient[0] is not computed */
    int classes;
};

/* What a network is made of: one line a layer, see network_lenet. */
struct network_plan {
    const char *kind; /* "conv", "affine", "max", "mean"; NULL ends the list */
    int channels;     /* of the output; conv and affine; 0: the number of classes */
    int size;         /* k of the kernel or the pooling window */
};

/* conv 3x3 - conv 3x3 - max 2 - conv 3x3 - mean 2 - affine: after LeNet-5 (LeCun et al., Proc. IEEE 86(11), 1998),
 * with the 3x3 kernels that every implementation takes. */
extern const struct network_plan network_lenet[];

/* Told of each pass that its implementation refused and `direct` does instead. */
typedef void network_replaced_fn(int layer, const char *reason);

/* Weights depend on `seed` only. The hidden layers use `activation`. Returns NULL or a reason; then nothing needs to
 * be freed. */
const char *network_make(struct network *network, const struct network_plan *plan, int mb, struct nn_shape in,
                         int classes, const struct activation *activation, const struct nn_choice *choice,
                         uint64_t seed, int threads, network_replaced_fn *replaced);
void network_free(struct network *network);

/* Scores of the images in value[0]. */
void network_forward(struct network *network);

/* One step on the images in value[0]: forward, loss, backward, w <- w - lr dw. Returns the loss before the step. */
double network_step(struct network *network, const struct loss *loss, const unsigned char *label, float lr);

/* Seconds spent so far in the convolutions of a pass. */
double network_seconds(const struct network *network, enum conv_tensor output);

#endif
