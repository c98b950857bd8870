/* Layers and their gradients, by the course's derivation. SPDX-License-Identifier: Apache-2.0 */
#include "layer.h"

#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t nn_shape_elements(struct nn_shape shape)
{
    return (size_t)shape.channels * shape.height * shape.width;
}

/* ---- convolution ---- */

static const char *passes_open(struct nn_layer *layer, const struct nn_choice *choice, bool first,
                               int threads, const char **replaced)
{
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
        if (first && output == CONV_SRC)
            continue;
        struct pass *pass = &layer->pass[output];
        const char *refused =
            pass_open(pass, nn_choice_for(choice, &layer->problem, output), &layer->problem, output, threads);
        if (refused) {
            *replaced = refused;
            const char *failed = pass_open(pass, conv_impl_find("direct"), &layer->problem, output, threads);
            if (failed)
                return failed;
        }
    }
    return NULL;
}

const char *nn_conv_make(struct nn_layer *layer, int mb, struct nn_shape in, int out_channels, int k,
                         const struct activation *activation, const struct nn_choice *choice, bool first,
                         uint64_t seed, int threads, const char **replaced)
{
    const bool affine = k == 0;
    if (affine) {
        in = (struct nn_shape){(int)nn_shape_elements(in), 1, 1};
        k = 1;
    }
    const int pad = (k - 1) / 2;
    *layer = (struct nn_layer){
        .kind = NN_CONV,
        .mb = mb,
        .in = in,
        .out = {out_channels, in.height, in.width},
        .activation = activation,
        .problem = {.g = 1,
                    .mb = mb,
                    .ic = in.channels,
                    .ih = in.height,
                    .iw = in.width,
                    .oc = out_channels,
                    .oh = in.height,
                    .ow = in.width,
                    .kh = k,
                    .kw = k,
                    .sh = 1,
                    .sw = 1,
                    .ph = pad,
                    .pw = pad},
    };
    *replaced = NULL;
    const size_t weights = conv_elements(&layer->problem, CONV_WEI);
    layer->wei = pass_tensor(weights);
    layer->wei_gradient = pass_tensor(weights);
    layer->bias = pass_tensor((size_t)out_channels);
    layer->bias_gradient = pass_tensor((size_t)out_channels);
    layer->dz = pass_tensor((size_t)mb * nn_shape_elements(layer->out));
    const char *reason = layer->wei && layer->wei_gradient && layer->bias && layer->bias_gradient && layer->dz
                             ? passes_open(layer, choice, first, threads, replaced)
                             : "out of memory";
    if (reason) {
        nn_layer_free(layer);
        return reason;
    }
    /* Uniform in [-limit, limit] has variance limit^2 / 3. */
    const double limit = sqrt(6.0 / ((double)in.channels * k * k));
    uint64_t random = seed;
    for (size_t i = 0; i < weights; i++)
        layer->wei[i] = (float)(limit * (2 * random_unit(&random) - 1));
    return NULL;
}

static void conv_forward(struct nn_layer *layer, float *x, float *y)
{
    pass_run(&layer->pass[CONV_DST], (float *[CONV_TENSORS]){x, layer->wei, y});
    const int channels = layer->out.channels;
    const size_t pixels = (size_t)layer->out.height * layer->out.width;
#pragma omp parallel for collapse(2)
    for (int mb = 0; mb < layer->mb; mb++)
        for (int oc = 0; oc < channels; oc++)
            for (size_t i = 0; i < pixels; i++)
                y[((size_t)mb * channels + oc) * pixels + i] += layer->bias[oc];
    activation_apply(layer->activation, y, (size_t)layer->mb * channels * pixels);
}

/* db(j) = sum over images and pixels of dz(s,j) */
static void bias_backward(struct nn_layer *layer)
{
    const int channels = layer->out.channels;
    const size_t pixels = (size_t)layer->out.height * layer->out.width;
#pragma omp parallel for
    for (int oc = 0; oc < channels; oc++) {
        double sum = 0;
        for (int mb = 0; mb < layer->mb; mb++)
            for (size_t i = 0; i < pixels; i++)
                sum += (double)layer->dz[((size_t)mb * channels + oc) * pixels + i];
        layer->bias_gradient[oc] = (float)sum;
    }
}

static void conv_backward(struct nn_layer *layer, float *x, const float *y, const float *dy, float *dx)
{
    activation_backward(layer->activation, y, dy, layer->dz,
                        (size_t)layer->mb * nn_shape_elements(layer->out));
    bias_backward(layer);
    pass_run(&layer->pass[CONV_WEI], (float *[CONV_TENSORS]){x, layer->wei_gradient, layer->dz});
    if (dx)
        pass_run(&layer->pass[CONV_SRC], (float *[CONV_TENSORS]){dx, layer->wei, layer->dz});
}

/* ---- pooling ---- */

void nn_pool_make(struct nn_layer *layer, enum nn_kind kind, int mb, struct nn_shape in, int size)
{
    *layer = (struct nn_layer){
        .kind = kind,
        .mb = mb,
        .in = in,
        .out = {in.channels, in.height / size, in.width / size},
        .size = size,
    };
}

/* Index of the largest of the k x k pixels that output (oh, ow) covers, in an image of width iw. */
static size_t window_maximum(const float *image, int iw, int oh, int ow, int k)
{
    size_t best = (size_t)oh * k * iw + (size_t)ow * k;
    for (int h = 0; h < k; h++)
        for (int w = 0; w < k; w++) {
            size_t at = (size_t)(oh * k + h) * iw + (size_t)(ow * k + w);
            if (image[at] > image[best])
                best = at;
        }
    return best;
}

static void max_pool_image(const struct nn_layer *layer, const float *x, float *y)
{
    for (int oh = 0; oh < layer->out.height; oh++)
        for (int ow = 0; ow < layer->out.width; ow++)
            *y++ = x[window_maximum(x, layer->in.width, oh, ow, layer->size)];
}

/* The gradient goes to the pixel that was the maximum. dx is zero before. */
static void max_pool_image_backward(const struct nn_layer *layer, const float *x, const float *dy, float *dx)
{
    for (int oh = 0; oh < layer->out.height; oh++)
        for (int ow = 0; ow < layer->out.width; ow++)
            dx[window_maximum(x, layer->in.width, oh, ow, layer->size)] = *dy++;
}

static void mean_pool_image(const struct nn_layer *layer, const float *x, float *y)
{
    const int k = layer->size;
    for (int oh = 0; oh < layer->out.height; oh++)
        for (int ow = 0; ow < layer->out.width; ow++) {
            float sum = 0;
            for (int h = 0; h < k; h++)
                for (int w = 0; w < k; w++)
                    sum += x[(size_t)(oh * k + h) * layer->in.width + (size_t)(ow * k + w)];
            *y++ = sum / (float)(k * k);
        }
}

static void mean_pool_image_backward(const struct nn_layer *layer, const float *x, const float *dy, float *dx)
{
    (void)x;
    const int k = layer->size;
    for (int h = 0; h < layer->out.height * k; h++)
        for (int w = 0; w < layer->out.width * k; w++)
            dx[(size_t)h * layer->in.width + (size_t)w] =
                dy[(size_t)(h / k) * layer->out.width + (size_t)(w / k)] / (float)(k * k);
}

static void pool_forward(struct nn_layer *layer, float *x, float *y)
{
    const size_t in = (size_t)layer->in.height * layer->in.width,
                 out = (size_t)layer->out.height * layer->out.width;
    const int images = layer->mb * layer->in.channels;
#pragma omp parallel for
    for (int i = 0; i < images; i++)
        (layer->kind == NN_MAX_POOL ? max_pool_image : mean_pool_image)(layer, x + i * in, y + i * out);
}

static void pool_backward(struct nn_layer *layer, float *x, const float *y, const float *dy, float *dx)
{
    (void)y;
    const size_t in = (size_t)layer->in.height * layer->in.width,
                 out = (size_t)layer->out.height * layer->out.width;
    const int images = layer->mb * layer->in.channels;
    if (!dx)
        return;
    memset(dx, 0, images * in * sizeof *dx);
#pragma omp parallel for
    for (int i = 0; i < images; i++)
        (layer->kind == NN_MAX_POOL ? max_pool_image_backward
                                    : mean_pool_image_backward)(layer, x + i * in, dy + i * out, dx + i * in);
}

/* ---- any layer ---- */

void nn_layer_free(struct nn_layer *layer)
{
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++)
        pass_close(&layer->pass[output]);
    free(layer->wei);
    free(layer->wei_gradient);
    free(layer->bias);
    free(layer->bias_gradient);
    free(layer->dz);
    memset(layer, 0, sizeof *layer);
}

void nn_layer_forward(struct nn_layer *layer, float *x, float *y)
{
    (layer->kind == NN_CONV ? conv_forward : pool_forward)(layer, x, y);
}

void nn_layer_backward(struct nn_layer *layer, float *x, const float *y, const float *dy, float *dx)
{
    (layer->kind == NN_CONV ? conv_backward : pool_backward)(layer, x, y, dy, dx);
}

void nn_layer_step(struct nn_layer *layer, float lr)
{
    if (layer->kind != NN_CONV)
        return;
    const size_t weights = conv_elements(&layer->problem, CONV_WEI);
    for (size_t i = 0; i < weights; i++)
        layer->wei[i] -= lr * layer->wei_gradient[i];
    for (int oc = 0; oc < layer->out.channels; oc++)
        layer->bias[oc] -= lr * layer->bias_gradient[oc];
}
