/* The small network: its layers' gradients, the loss curve by every implementation, and the data it reads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "idx.h"
#include "network.h"
#include "random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MB = 6, SIDE = 8, CLASSES = 3, STEPS = 12 };

static void network_open(struct network *network, const char *choice_text, const char *activation)
{
    struct nn_choice choice;
    char why[128];
    assert_true(nn_choice_parse(&choice, choice_text, why, sizeof why));
    const struct nn_setup setup = {.mb = MB, .threads = 2, .choice = &choice, .seed = 7};
    const enum activation_kind kind = (enum activation_kind)(activation_find(activation) - activations);
    assert_null(
        network_make(network, network_lenet, &setup, (struct nn_shape){1, SIDE, SIDE}, CLASSES, kind));
    nn_choice_free(&choice);
}

/* Images whose brightest quarter tells the class, plus noise. */
static void batch_draw(float *images, unsigned char *label, uint64_t seed)
{
    uint64_t random = seed;
    for (int s = 0; s < MB; s++) {
        label[s] = (unsigned char)random_below(&random, CLASSES);
        for (int h = 0; h < SIDE; h++)
            for (int w = 0; w < SIDE; w++) {
                bool bright = (h >= SIDE / 2) == (label[s] & 1) && (w >= SIDE / 2) == (label[s] >> 1);
                *images++ = (float)(0.5 * random_unit(&random)) + (bright ? 0.5f : 0.0f);
            }
    }
}

static double loss_of(struct network *network, const struct loss *loss, const unsigned char *label)
{
    float gradient[MB * CLASSES];
    network_forward(network);
    return loss->apply(network->value[network->layer_count], label, MB, CLASSES, gradient);
}

/* dL/dw of a few weights and biases of every convolution against central differences. The network is float, so a
 * difference over h = 1e-2 keeps about 1e-7 / 1e-2 = 1e-5 of rounding, and h^2 = 1e-4 of curvature. */
static void gradient_agrees(const char *loss_name, const char *activation)
{
    struct network network;
    unsigned char label[MB];
    const struct loss *loss = loss_find(loss_name);
    const float h = 1e-2f;
    network_open(&network, "reference", activation);
    batch_draw(network.value[0], label, 3);
    network_step(&network, loss, label, 0);
    for (int i = 0; i < network.layer_count; i++) {
        struct nn_layer *layer = &network.layer[i];
        if (layer->kind != NN_CONV)
            continue;
        const size_t weights = conv_elements(&layer->problem, CONV_WEI);
        double largest = 0;
        for (size_t k = 0; k < weights; k++)
            largest = fmax(largest, (double)fabsf(layer->wei_gradient[k]));
        assert_true(largest > 0);
        for (size_t k = 0; k < weights + 2; k += weights / 5 + 1) {
            float *at = k < weights ? &layer->wei[k] : &layer->bias[0];
            float gradient = k < weights ? layer->wei_gradient[k] : layer->bias_gradient[0];
            const float kept = *at;
            *at = kept + h;
            double above = loss_of(&network, loss, label);
            *at = kept - h;
            double below = loss_of(&network, loss, label);
            *at = kept;
            double difference = (above - below) / (2 * (double)h);
            if (!(fabs(difference - (double)gradient) <= 1e-2 * largest + 1e-4))
                fail_msg("%s, %s, layer %d, weight %zu: gradient %g, difference %g", loss_name, activation, i,
                         k, (double)gradient, difference);
        }
    }
    network_free(&network);
}

static void test_gradients(void **state)
{
    (void)state;
    gradient_agrees("softmax", "tanh");
    gradient_agrees("softmax", "sigmoid");
    gradient_agrees("squared", "tanh");
    gradient_agrees("squared", "identity");
}

/* The derivative, written in terms of the output, is the derivative. */
static void test_activations(void **state)
{
    (void)state;
    for (const struct activation *a = activations; a->name; a++)
        for (float z = -2.125f; z < 2.5f; z += 0.25f) {
            double difference = ((double)a->apply(z + 0x1p-8f) - (double)a->apply(z - 0x1p-8f)) / 0x1p-7;
            if (!(fabs(difference - (double)a->derivative(a->apply(z))) <= 1e-4))
                fail_msg("%s at %g", a->name, (double)z);
        }
    assert_null(activation_find("no such"));
}

static void test_pooling(void **state)
{
    (void)state;
    float x[16] = {1, 2, 3, 4, 5, 9, 7, 8, 0, -1, -2, -3, -4, -5, -6, -7}, y[4], dx[16];
    const float dy[4] = {1, 2, 3, 4};
    const struct nn_setup setup = {.mb = 1, .threads = 2};
    struct nn_layer layer;
    nn_pool_make(&layer, &setup, NN_MAX_POOL, (struct nn_shape){1, 4, 4}, 2);
    nn_layer_forward(&layer, x, y);
    assert_memory_equal(y, ((float[]){9, 8, 0, -2}), sizeof y);
    nn_layer_backward(&layer, x, y, dy, dx);
    assert_memory_equal(dx, ((float[]){0, 0, 0, 0, 0, 1, 0, 2, 3, 0, 4, 0, 0, 0, 0, 0}), sizeof dx);
    nn_pool_make(&layer, &setup, NN_MEAN_POOL, (struct nn_shape){1, 4, 4}, 2);
    nn_layer_forward(&layer, x, y);
    assert_memory_equal(y, ((float[]){4.25f, 5.5f, -2.5f, -4.5f}), sizeof y);
    nn_layer_backward(&layer, x, y, dy, dx);
    assert_memory_equal(
        dx, ((float[]){.25f, .25f, .5f, .5f, .25f, .25f, .5f, .5f, .75f, .75f, 1, 1, .75f, .75f, 1, 1}),
        sizeof dx);
}

static void curve_train(const char *choice, double curve[STEPS])
{
    struct network network;
    unsigned char label[MB];
    network_open(&network, choice, "relu");
    for (int i = 0; i < STEPS; i++) {
        batch_draw(network.value[0], label, (uint64_t)i);
        curve[i] = network_step(&network, loss_find("softmax"), label, 0.1f);
    }
    network_free(&network);
}

/* From the same seed every implementation, and a mix, follow the curve of the definition. */
static void test_curves(void **state)
{
    (void)state;
    double reference[STEPS], curve[STEPS];
    curve_train("reference", reference);
    assert_true(reference[STEPS - 1] < reference[0]);
    for (int i = 0; conv_impls[i + 1]; i++) {
        char mix[128];
        const char *a = conv_impls[i]->name, *b = conv_impls[i + 1]->name;
        snprintf(mix, sizeof mix, "fwd:%s,bwd:%s,upd:%s", a, b, a);
        const char *const choices[] = {b, mix};
        for (int c = 0; c < 2; c++) {
            curve_train(choices[c], curve);
            for (int s = 0; s < STEPS; s++)
                if (!(fabs(curve[s] - reference[s]) <= 1e-4 * reference[0]))
                    fail_msg("%s, step %d: loss %.9g, reference %.9g", choices[c], s, curve[s], reference[s]);
        }
    }
}

/* ---- files ---- */

static char path[2][32];

static void file_write(int which, const void *bytes, size_t size)
{
    FILE *file = fopen(path[which], "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 8, 16, 4};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};

static void refused(const void *image_bytes, size_t image_size, const void *label_bytes, size_t label_size,
                    const char *because)
{
    struct idx_set set;
    char why[256] = "";
    file_write(0, image_bytes, image_size);
    file_write(1, label_bytes, label_size);
    assert_false(idx_read(&set, path[0], path[1], why, sizeof why));
    if (!strstr(why, because))
        fail_msg("\"%s\" does not say \"%s\"", why, because);
}

static void test_idx(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        strcpy(path[i], "/tmp/tripass-idx-XXXXXX");
        int file = mkstemp(path[i]);
        assert_true(file >= 0);
        close(file);
    }
    struct idx_set set;
    char why[256];
    file_write(0, images, sizeof images);
    file_write(1, labels, sizeof labels);
    assert_true(idx_read(&set, path[0], path[1], why, sizeof why));
    assert_int_equal(set.count, 2);
    assert_int_equal(set.classes, 2);
    assert_memory_equal(set.images, ((float[]){0, .5f, 1, .25f}), 4 * sizeof(float));
    idx_free(&set);
    refused(images, sizeof images - 1, labels, sizeof labels, "truncated");
    refused(images, sizeof images, labels, sizeof labels - 1, "truncated");
    refused(labels, sizeof labels, labels, sizeof labels, "not");
    refused("no", 2, labels, sizeof labels, "not an IDX file");
    refused(images, sizeof images, images, sizeof images, "not a list of labels");
    unsigned char more[sizeof images + 1] = {0};
    memcpy(more, images, sizeof images);
    refused(more, sizeof more, labels, sizeof labels, "longer");
    unsigned char three[sizeof labels + 1] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 0, 1};
    refused(images, sizeof images, three, sizeof three, "3 labels for 2 images");
    more[2] = 13;
    refused(more, sizeof images, labels, sizeof labels, "unsigned bytes");
    for (int i = 0; i < 2; i++)
        unlink(path[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations), cmocka_unit_test(test_pooling), cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_curves),      cmocka_unit_test(test_idx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
