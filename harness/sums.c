/* See sums.h. SPDX-License-Identifier: Apache-2.0 */
#include "sums.h"

#include "random.h"

#include <math.h>
#include <stdlib.h>

enum { PIXELS = 1024 }; /* that a thread sums at a time: they stay in its level 1 cache */

/* All channels of a group of the output become one, and all images where it has images. */
static struct conv_problem smaller(const struct conv_problem *problem, enum conv_tensor output)
{
    struct conv_problem p = *problem;
    if (output != CONV_SRC)
        p.oc = p.g;
    if (output != CONV_DST)
        p.ic = p.g;
    if (output != CONV_WEI)
        p.mb = 1;
    return p;
}

/* The two outer axes of a tensor, which sums are over. Signs go with the axis, so that all tensors agree on them. */
enum axis { IMAGES, INPUTS, OUTPUTS };
static const enum axis outer[CONV_TENSORS][2] = {{IMAGES, INPUTS}, {OUTPUTS, INPUTS}, {IMAGES, OUTPUTS}};

static double sign(uint64_t seed, enum axis axis, int i, int terms)
{
    uint64_t state = seed + ((uint64_t)axis << 32) + (uint64_t)i;
    return terms == 1 || random_next(&state) >> 63 ? 1 : -1;
}

/* to = the sums over a tensor. The elements a .. a + length - 1 of an axis become one, length being the ratio of extents. */
static void sum_up(const struct sums *sums, const struct data *data, enum conv_tensor t, const float *from,
                   double *to)
{
    int n[4], few[4];
    conv_extents(&data->problem, t, n);
    conv_extents(&sums->problem, t, few);
    const size_t pixels = (size_t)n[2] * (size_t)n[3];
    const int length[2] = {n[0] / few[0], n[1] / few[1]};
#pragma omp parallel for num_threads(data->threads) schedule(static)
    for (size_t begin = 0; begin < pixels; begin += PIXELS) {
        const size_t end = begin + PIXELS < pixels ? begin + PIXELS : pixels;
        for (int a = 0; a < n[0]; a++)
            for (int b = 0; b < n[1]; b++) {
                const int i = a % length[0], j = b % length[1];
                const double s =
                    sign(sums->seed, outer[t][0], i, length[0]) * sign(sums->seed, outer[t][1], j, length[1]);
                const float *x = from + ((size_t)a * (size_t)n[1] + (size_t)b) * pixels;
                double *y =
                    to + ((size_t)(a / length[0]) * (size_t)few[1] + (size_t)(b / length[1])) * pixels;
                for (size_t pixel = begin; pixel < end; pixel++)
                    y[pixel] = (i || j ? y[pixel] : 0) + s * (double)x[pixel];
            }
    }
}

/* The same in float, which holds sums of integers; NULL: no memory. */
static float *smaller_input(const struct sums *sums, const struct data *data, enum conv_tensor t)
{
    const size_t elements = conv_elements(&sums->problem, t);
    double *sum = malloc(elements * sizeof *sum);
    float *input = malloc(elements * sizeof *input);
    const struct buffer *from = t == CONV_DST && data->dz.bytes ? &data->dz : &data->plain[t];
    if (sum && input) {
        sum_up(sums, data, t, from->data, sum);
        for (size_t i = 0; i < elements; i++)
            input[i] = (float)sum[i];
    } else {
        free(input);
        input = NULL;
    }
    free(sum);
    return input;
}

/* What biases add to a sum of outputs of a group. */
static double sum_of_biases(const struct sums *sums, const struct data *data, int group)
{
    const struct conv_problem *p = &data->problem;
    const float *bias = data->beside.data;
    const int channels = p->oc / p->g;
    double images = 0, biases = 0;
    for (int mb = 0; mb < p->mb; mb++)
        images += sign(sums->seed, IMAGES, mb, p->mb);
    for (int j = 0; j < channels; j++)
        biases += sign(sums->seed, OUTPUTS, j, channels) * (double)bias[group * channels + j];
    return images * biases;
}

bool sums_find(struct sums *sums, const struct data *data, size_t most, int draw)
{
    const enum conv_tensor output = data->output;
    *sums = (struct sums){.problem = smaller(&data->problem, output), .step = 1};
    uint64_t state = data->seed + 1000 + (uint64_t)draw;
    const bool forward = output == CONV_DST;
    if (forward && data->layer.activation != ACTIVATION_IDENTITY)
        return true;
    const size_t all = conv_elements(&sums->problem, output);
    sums->seed = random_next(&state);
    sums->terms = conv_elements(&data->problem, output) / all;
    sums->step = (all + most - 1) / most;
    sums->first = random_next(&state) % sums->step;
    sums->count = (all - sums->first + sums->step - 1) / sums->step;
    sums->value = malloc(sums->count * sizeof *sums->value);
    float *input[CONV_TENSORS] = {NULL};
    bool got = sums->value != NULL;
    for (enum conv_tensor t = 0; t < CONV_TENSORS && got; t++)
        got = t == output || (input[t] = smaller_input(sums, data, t)) != NULL;
    const float *const inputs[CONV_TENSORS] = {input[0], input[1], input[2]};
    const size_t pixels = (size_t)data->problem.oh * (size_t)data->problem.ow;
#pragma omp parallel for num_threads(data->threads) schedule(dynamic, 16)
    for (size_t i = 0; i < (got ? sums->count : 0); i++) {
        const size_t index = sums->first + i * sums->step;
        sums->value[i] = reference_element(&sums->problem, output, inputs, index).value +
                         (forward && data->layer.bias ? sum_of_biases(sums, data, (int)(index / pixels)) : 0);
    }
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        free(input[t]);
    return got;
}

void sums_free(struct sums *sums)
{
    free(sums->value);
}

size_t sums_footprint(const struct conv_problem *problem, enum conv_tensor output)
{
    const struct conv_problem p = smaller(problem, output);
    size_t floats = 0, doubles = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const size_t elements = conv_elements(&p, t);
        floats += t == output ? 0 : elements;
        doubles = elements > doubles ? elements : doubles;
    }
    return floats * sizeof(float) + doubles * sizeof(double);
}

bool sums_compare(const struct sums *sums, const struct data *data, const float *result, double allowed,
                  struct sums_verdict *verdict)
{
    *verdict = (struct sums_verdict){0, 0, 0};
    if (!sums->count)
        return true;
    double *sum = malloc(conv_elements(&sums->problem, data->output) * sizeof *sum);
    if (!sum)
        return false;
    sum_up(sums, data, data->output, result, sum);
    for (size_t i = 0; i < sums->count; i++) {
        const size_t index = sums->first + i * sums->step;
        const double off = sum[index] - sums->value[i];
        if (!(fabs(off) <= allowed) && !verdict->wrong++) {
            verdict->first = index;
            verdict->off = off;
        }
    }
    free(sum);
    return true;
}
