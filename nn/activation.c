/* The table of activations. SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"

#include <math.h>
#include <string.h>

static const float leaky_slope = 0.01f;

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
    return z > 0 ? z : 0;
}
static float relu_slope(float y)
{
    return y > 0 ? 1 : 0;
}
static float leaky_relu(float z)
{
    return z > 0 ? z : leaky_slope * z;
}
static float leaky_relu_slope(float y)
{
    return y > 0 ? 1 : leaky_slope;
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
    {"identity", identity, identity_slope},       {"relu", relu, relu_slope},
    {"leaky-relu", leaky_relu, leaky_relu_slope}, {"tanh", tanhf, tanh_slope},
    {"sigmoid", sigmoid, sigmoid_slope},          {NULL, NULL, NULL},
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
