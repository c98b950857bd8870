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

struct nn_layer {
    enum nn_kind kind;
    int mb;
    struct nn_shape in, out;

    /* convolution and affine */
    const struct activation *activation;
    struct conv_problem problem;
    struct pass pass[CONV_TENSORS]; /* by output; the first layer of a network has no backward pass */
    float *wei, *bias;              /* oc x ic x kh x kw; oc */
    float *wei_gradient, *bias_gradient;
    float *dz; /* gradient at the convolution's output, mb x out */

    /* pooling */
    int size; /* k */
};

/* A k x k convolution with stride 1 and padding (k - 1) / 2, or, with k = 0, an affine layer on all inputs. Weights
 * are drawn from `seed`, uniform with variance 2 / (inputs of one output) (He et al., ICCV 2015), biases zero. A
 * pass that its implementation refuses is done by `direct`; *replaced then says why (a static reason), else NULL.
 * first: no backward pass is needed. Returns NULL or a reason; then nothing needs to be freed. */
const char *nn_conv_make(struct nn_layer *layer, int mb, struct nn_shape in, int out_channels, int k,
                         const struct activation *activation, const struct nn_choice *choice, bool first,
                         uint64_t seed, int threads, const char **replaced);
void nn_pool_make(struct nn_layer *layer, enum nn_kind kind, int mb, struct nn_shape in, int size);
void nn_layer_free(struct nn_layer *layer);

/* y = layer(x). x: mb x in, y: mb x out. */
void nn_layer_forward(struct nn_layer *layer, float *x, float *y);

/* The gradients, from dy = dL/dy; x and y are those of the forward pass. Writes dx, mb x in, unless it is NULL,
 * and the layer's own gradients of weights and biases. */
void nn_layer_backward(struct nn_layer *layer, float *x, const float *y, const float *dy, float *dx);

/* w <- w - lr * dw, b <- b - lr * db. */
void nn_layer_step(struct nn_layer *layer, float lr);

#endif
