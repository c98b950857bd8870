/* The layers of a small CNN, each with its forward pass, its backward pass and its step. Tensors are plain NCHW
 * float, `mb` images.
 *
 *     convolution   Y = phi(W * X + b)         dZ = dY . phi'(Z),  db = sum dZ,  dW = grad(X, dZ),  dX = bwd(W, dZ)
 *     affine        the same with one pixel: its W is oc x (all inputs), its convolution 1x1
 *     pooling       the maximum or the mean of k x k pixels, stride k
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_LAYER_H
#define TRIPASS_LAYER_H

#include "activation.h"
#include "choice.h"
#include "pass.h"

#include <stdint.h>

/* One image between two layers. */
struct nn_shape {
    int channels, height, width;
};

size_t nn_shape_elements(struct nn_shape shape);

enum nn_kind { NN_CONV, NN_MAX_POOL, NN_MEAN_POOL };

/* What all layers of a network have in common. */
struct nn_setup {
    int mb, threads; /* images of a batch; threads that a layer uses at most */
    const struct nn_choice *choice;
    uint64_t seed; /* of the weights; layer i draws from seed + i */
};

/* A convolution: k x k with stride 1 and padding (k - 1) / 2, or, with k = 0, an affine layer on all inputs. */
struct nn_conv {
    int index; /* of the layer; the first one, 0, needs no gradient of its input */
    int channels, k;
    enum activation_kind activation;
};

/* What a layer's time goes into beside the runs of its passes. */
enum nn_part { NN_SLOPE, NN_POOLING, NN_PARTS }; /* dz = dy * phi'(z); both passes of pooling */

struct nn_layer {
    enum nn_kind kind;
    int mb, threads; /* threads: what it uses, see nn_threads */
    struct nn_shape in, out;
    double seconds[NN_PARTS];

    /* convolution and affine */
    enum activation_kind activation;
    struct conv_problem problem;
    struct pass pass[CONV_TENSORS]; /* by output; the first layer of a network has no backward pass */
    const char
        *refused[CONV_TENSORS]; /* why `direct` does a pass and not the chosen one (static), else NULL */
    float *wei, *bias;          /* oc x ic x kh x kw; oc */
    float *wei_gradient, *bias_gradient;
    float *dz; /* gradient at the convolution's output, mb x out */

    /* pooling */
    int size; /* k */
};

/* How many threads so many floating-point operations are worth, 1 to `most`: waking a thread costs a few
 * microseconds on an idle machine and milliseconds where others wait for the same core. */
int nn_threads(double flop, int most);

/* Weights are drawn uniform with variance 2 / (inputs of one output) (He et al., ICCV 2015), biases are zero. A pass that
 * its implementation refuses is done by `direct`. Returns NULL or a reason; then nothing needs to be freed. */
const char *nn_conv_make(struct nn_layer *layer, const struct nn_setup *setup, struct nn_shape in,
                         const struct nn_conv *conv);
void nn_pool_make(struct nn_layer *layer, const struct nn_setup *setup, enum nn_kind kind, struct nn_shape in,
                  int size);
void nn_layer_free(struct nn_layer *layer);

/* y = layer(x). x: mb x in, y: mb x out. */
void nn_layer_forward(struct nn_layer *layer, float *x, float *y);

/* The gradients, from dy = dL/dy; x and y are those of the forward pass. Writes dx, mb x in, unless it is NULL,
 * and the layer's own gradients of weights and biases. */
void nn_layer_backward(struct nn_layer *layer, float *x, const float *y, const float *dy, float *dx);

/* w <- w - lr * dw, b <- b - lr * db. */
void nn_layer_step(struct nn_layer *layer, float lr);

#endif
