/* Layers in a row. SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include <stdlib.h>
#include <string.h>

const struct network_plan network_lenet[] = {
    {"conv", 8, 3}, {"conv", 16, 3},  {"max", 0, 2}, {"conv", 16, 3},
    {"mean", 0, 2}, {"affine", 0, 0}, {NULL, 0, 0},
};

static const char *layer_make(struct network *network, const struct network_plan *plan,
                              const struct nn_setup *setup, struct nn_shape in,
                              enum activation_kind activation)
{
    const int index = network->layer_count;
    struct nn_layer *layer = &network->layer[index];
    if (!strcmp(plan->kind, "max") || !strcmp(plan->kind, "mean")) {
        if (in.height < plan->size || in.width < plan->size)
            return "the images are too small for the network";
        nn_pool_make(layer, setup, strcmp(plan->kind, "max") ? NN_MEAN_POOL : NN_MAX_POOL, in, plan->size);
        return NULL;
    }
    const struct nn_conv conv = {index, plan->channels ? plan->channels : network->classes, plan->size,
                                 plan[1].kind ? activation
                                              : ACTIVATION_IDENTITY}; /* the last layer gives scores */
    return nn_conv_make(layer, setup, in, &conv);
}

const char *network_make(struct network *network, const struct network_plan *plan,
                         const struct nn_setup *setup, struct nn_shape in, int classes,
                         enum activation_kind activation)
{
    memset(network, 0, sizeof *network);
    network->mb = setup->mb;
    network->classes = classes;
    network->value[0] = pass_tensor((size_t)setup->mb * nn_shape_elements(in));
    const char *reason = network->value[0] ? NULL : "out of memory";
    for (; !reason && plan->kind; plan++) {
        reason = layer_make(network, plan, setup, in, activation);
        if (reason)
            break;
        in = network->layer[network->layer_count++].out;
        const size_t elements = (size_t)setup->mb * nn_shape_elements(in);
        float *value = pass_tensor(elements), *gradient = pass_tensor(elements);
        network->value[network->layer_count] = value;
        network->gradient[network->layer_count] = gradient;
        if (!value || !gradient)
            reason = "out of memory";
    }
    if (reason)
        network_free(network);
    return reason;
}

void network_free(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++)
        nn_layer_free(&network->layer[i]);
    for (int i = 0; i <= NETWORK_LAYERS_MAX; i++) {
        free(network->value[i]);
        free(network->gradient[i]);
    }
    memset(network, 0, sizeof *network);
}

void network_forward(struct network *network)
{
    for (int i = 0; i < network->layer_count; i++)
        nn_layer_forward(&network->layer[i], network->value[i], network->value[i + 1]);
}

double network_step(struct network *network, const struct loss *loss, const unsigned char *label, float lr)
{
    const int last = network->layer_count;
    network_forward(network);
    double value =
        loss->apply(network->value[last], label, network->mb, network->classes, network->gradient[last]);
    for (int i = last - 1; i >= 0; i--)
        nn_layer_backward(&network->layer[i], network->value[i], network->value[i + 1],
                          network->gradient[i + 1], network->gradient[i]);
    for (int i = 0; i < last; i++)
        nn_layer_step(&network->layer[i], lr);
    return value;
}

void network_times(const struct network *network, double seconds[NETWORK_PARTS])
{
    memset(seconds, 0, NETWORK_PARTS * sizeof *seconds);
    for (int i = 0; i < network->layer_count; i++) {
        const struct nn_layer *layer = &network->layer[i];
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
            seconds[NETWORK_PASSES + output] += layer->pass[output].run_s;
            seconds[NETWORK_CONVERSIONS] += layer->pass[output].convert_s;
        }
        seconds[NETWORK_SLOPES] += layer->seconds[NN_SLOPE];
        seconds[NETWORK_POOLING] += layer->seconds[NN_POOLING];
    }
}
