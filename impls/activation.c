/* The table of activations. SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"

#include <math.h>
#include <string.h>

/* Fewer elements take less time than starting a team, some microseconds. */
enum { PARALLEL_LEAST = 1 << 14 };

static float identity(float z)
{
    return z;
}
static float identity_slope(float y)
{
    (void)y;
    return 1;
}
static float relu(float z)
{
    return z < 0 ? 0 : z; /* a NaN stays */
}
static float relu_slope(float y)
{
    return y > 0 ? 1 : 0;
}
static float leaky_relu(float z)
{
    return z > 0 ? z : ACTIVATION_LEAK * z;
}
static float leaky_relu_slope(float y)
{
    return y > 0 ? 1 : ACTIVATION_LEAK;
}
static float tanh_slope(float y)
{
    return 1 - y * y;
}
static float sigmoid(float z)
{
    return 1 / (1 + expf(-z));
}
static float sigmoid_slope(float y)
{
    return y * (1 - y);
}

const struct activation activations[] = {
    [ACTIVATION_IDENTITY] = {"identity", identity, identity_slope},
    [ACTIVATION_RELU] = {"relu", relu, relu_slope},
    [ACTIVATION_LEAKY_RELU] = {"leaky-relu", leaky_relu, leaky_relu_slope},
    [ACTIVATION_TANH] = {"tanh", tanhf, tanh_slope},
    [ACTIVATION_SIGMOID] = {"sigmoid", sigmoid, sigmoid_slope},
    [ACTIVATIONS] = {NULL, NULL, NULL},
};

const struct activation *activation_find(const char *name)
{
    for (const struct activation *a = activations; a->name; a++)
        if (!strcmp(a->name, name))
            return a;
    return NULL;
}

void activation_apply(const struct activation *activation, float *y, size_t elements)
{
#pragma omp parallel for if (elements > PARALLEL_LEAST)
    for (size_t i = 0; i < elements; i++)
        y[i] = activation->apply(y[i]);
}

void activation_backward(const struct activation *activation, const float *y, const float *dy, float *dz,
                         size_t elements)
{
#pragma omp parallel for if (elements > PARALLEL_LEAST)
    for (size_t i = 0; i < elements; i++)
        dz[i] = dy[i] * activation->derivative(y[i]);
}
