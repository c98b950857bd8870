/* Layers and their gradients, by the course's derivation. SPDX-License-Identifier: Apache-2.0 */
#include "layer.h"

#include "clock.h"
#include "kernels/elementwise.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t nn_shape_elements(struct nn_shape shape)
{
    return (size_t)shape.channels * shape.height * shape.width;
}

/* Two threads save half of 4 MFLOP, 20 microseconds at 100 GFLOP/s, which is about what waking one costs. */
static const double FLOP_A_THREAD = 4e6;

int nn_threads(double flop, int most)
{
    const double worth = flop / FLOP_A_THREAD;
    return worth < 1 ? 1 : worth < most ? (int)worth : most;
}

/* ---- convolution ---- */

/* What the pass has beside its convolution: forward adds the bias and applies phi, the gradient of the weights sums that
 * of the bias. Both gradients read dz, which the layer makes once (slope_apply), so backward is the convolution alone. */
static struct conv_layer beside_of(const struct nn_layer *layer, enum conv_tensor output)
{
    return (struct conv_layer){.bias = output != CONV_SRC,
                               .activation = output == CONV_DST ? layer->activation : ACTIVATION_IDENTITY};
}

static const char *passes_open(struct nn_layer *layer, const struct nn_choice *choice, bool first)
{
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
        if (first && output == CONV_SRC)
            continue;
        struct pass *pass = &layer->pass[output];
        const struct conv_plan wanted = {.problem = layer->problem,
                                         .output = output,
                                         .threads = layer->threads,
                                         .isa = isa_best(),
                                         .layer = beside_of(layer, output)};
        layer->refused[output] = pass_plan(pass, nn_choice_for(choice, &layer->problem, output), &wanted);
        const char *failed =
            layer->refused[output] ? pass_plan(pass, conv_impl_find("direct"), &wanted) : NULL;
        if (failed)
            return failed;
    }
    return NULL;
}

static struct conv_problem problem_of(int mb, struct nn_shape in, int channels, int k)
{
    return (struct conv_problem){.g = 1,
                                 .mb = mb,
                                 .ic = in.channels,
                                 .ih = in.height,
                                 .iw = in.width,
                                 .oc = channels,
                                 .oh = in.height,
                                 .ow = in.width,
                                 .kh = k,
                                 .kw = k,
                                 .sh = 1,
                                 .sw = 1,
                                 .ph = (k - 1) / 2,
                                 .pw = (k - 1) / 2};
}

const char *nn_conv_make(struct nn_layer *layer, const struct nn_setup *setup, struct nn_shape in,
                         const struct nn_conv *conv)
{
    const int k = conv->k ? conv->k : 1;
    if (!conv->k)
        in = (struct nn_shape){(int)nn_shape_elements(in), 1, 1};
    const struct conv_problem problem = problem_of(setup->mb, in, conv->channels, k);
    *layer = (struct nn_layer){
        .kind = NN_CONV,
        .mb = setup->mb,
        .threads = nn_threads(conv_flop_nominal(&problem), setup->threads),
        .in = in,
        .out = {conv->channels, in.height, in.width},
        .activation = conv->activation,
        .problem = problem,
    };
    const size_t weights = conv_elements(&problem, CONV_WEI), channels = (size_t)conv->channels;
    layer->wei = pass_tensor(weights);
    layer->wei_gradient = pass_tensor(weights);
    layer->bias = pass_tensor(channels);
    layer->bias_gradient = pass_tensor(channels);
    layer->dz = pass_tensor((size_t)setup->mb * nn_shape_elements(layer->out));
    const char *reason = layer->wei && layer->wei_gradient && layer->bias && layer->bias_gradient && layer->dz
                             ? passes_open(layer, setup->choice, conv->index == 0)
                             : "out of memory";
    if (reason) {
        nn_layer_free(layer);
        return reason;
    }
    /* Uniform in [-limit, limit] has variance limit^2 / 3. */
    const double limit = sqrt(6.0 / ((double)in.channels * k * k));
    uint64_t random = setup->seed + (uint64_t)conv->index;
    for (size_t i = 0; i < weights; i++)
        layer->wei[i] = (float)(limit * (2 * random_unit(&random) - 1));
    return NULL;
}

static void conv_forward(struct nn_layer *layer, float *x, float *y)
{
    pass_run_layer(&layer->pass[CONV_DST], (float *[CONV_TENSORS]){x, layer->wei, y}, layer->bias);
}

/* dz = dy * phi'(z), from y = phi(z). */
static void slope_apply(struct nn_layer *layer, const float *y, const float *dy)
{
    enum { PIECE = 4096 }; /* floats that a thread takes at a time: 16 KiB, half of a level-1 cache */
    const struct elementwise_kernel *kernel = elementwise_kernel(isa_best());
    const size_t floats = (size_t)layer->mb * nn_shape_elements(layer->out);
    const double begin = clock_now();
#pragma omp parallel for num_threads(layer->threads)
    for (size_t at = 0; at < floats; at += PIECE)
        kernel->backward(layer->activation, y + at, dy + at, layer->dz + at,
                         floats - at < PIECE ? floats - at : PIECE);
    layer->seconds[NN_SLOPE] += clock_now() - begin;
}

static void conv_backward(struct nn_layer *layer, float *x, const float *y, const float *dy, float *dx)
{
    slope_apply(layer, y, dy);
    pass_run_layer(&layer->pass[CONV_WEI], (float *[CONV_TENSORS]){x, layer->wei_gradient, layer->dz},
                   layer->bias_gradient);
    if (dx)
        pass_run(&layer->pass[CONV_SRC], (float *[CONV_TENSORS]){dx, layer->wei, layer->dz});
}

/* ---- pooling ---- */

void nn_pool_make(struct nn_layer *layer, const struct nn_setup *setup, enum nn_kind kind, struct nn_shape in,
                  int size)
{
    *layer = (struct nn_layer){
        .kind = kind,
        .mb = setup->mb,
        /* A pixel takes about a nanosecond, in which a core does 100 operations of a convolution. */
        .threads = nn_threads(100.0 * setup->mb * (double)nn_shape_elements(in), setup->threads),
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
    const double begin = clock_now();
#pragma omp parallel for num_threads(layer->threads)
    for (int i = 0; i < images; i++)
        (layer->kind == NN_MAX_POOL ? max_pool_image : mean_pool_image)(layer, x + i * in, y + i * out);
    layer->seconds[NN_POOLING] += clock_now() - begin;
}

static void pool_backward(struct nn_layer *layer, float *x, const float *y, const float *dy, float *dx)
{
    (void)y;
    const size_t in = (size_t)layer->in.height * layer->in.width,
                 out = (size_t)layer->out.height * layer->out.width;
    const int images = layer->mb * layer->in.channels;
    if (!dx)
        return;
    const double begin = clock_now();
    memset(dx, 0, images * in * sizeof *dx);
#pragma omp parallel for num_threads(layer->threads)
    for (int i = 0; i < images; i++)
        (layer->kind == NN_MAX_POOL ? max_pool_image_backward
                                    : mean_pool_image_backward)(layer, x + i * in, dy + i * out, dx + i * in);
    layer->seconds[NN_POOLING] += clock_now() - begin;
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
