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

/* `in`: one image. The hidden layers use `activation`. Returns NULL or a reason; then nothing needs to be freed. */
const char *network_make(struct network *network, const struct network_plan *plan,
                         const struct nn_setup *setup, struct nn_shape in, int classes,
                         enum activation_kind activation);
void network_free(struct network *network);

/* Scores of the images in value[0]. */
void network_forward(struct network *network);

/* One step on the images in value[0]: forward, loss, backward, w <- w - lr dw. Returns the loss before the step. */
double network_step(struct network *network, const struct loss *loss, const unsigned char *label, float lr);

/* What a step's time goes into. */
enum network_part {
    NETWORK_PASSES,                                      /* the runs of each pass, by output */
    NETWORK_CONVERSIONS = NETWORK_PASSES + CONV_TENSORS, /* between plain and native layouts */
    NETWORK_SLOPES,                                      /* dz = dy * phi'(z) */
    NETWORK_POOLING,
    NETWORK_PARTS
};

/* Seconds spent so far. */
void network_times(const struct network *network, double seconds[NETWORK_PARTS]);

#endif
