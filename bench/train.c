/* `tripass train`: a small CNN learns handwritten digits, its three passes done by the implementations that are
 * benchmarked. From the same seed every implementation must learn the same.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "complain.h"
#include "idx.h"
#include "network.h"
#include "options.h"
#include "problem_string.h"
#include "random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an epoch came to. */
struct epoch {
    double loss; /* mean over the batches, each before its step */
    double train_accuracy, test_accuracy;
    double seconds, pass_seconds[CONV_TENSORS]; /* the whole epoch's training; inside the convolutions */
};

static void set_read(struct idx_set *set, const char *directory, const char *part)
{
    char images[4096], labels[4096], why[8192];
    snprintf(images, sizeof images, "%s/%s-images.idx", directory, part);
    snprintf(labels, sizeof labels, "%s/%s-labels.idx", directory, part);
    if (!idx_read(set, images, labels, why, sizeof why))
        usage_error("train: %s; try scripts/digits.py DIR for a small set", why);
}

/* Copies example order[first], order[first + 1], ... of the set into the network's input; past the end of the set
 * the last one again. */
static void batch_load(struct network *network, unsigned char *label, const struct idx_set *set,
                       const int *order, int first)
{
    const size_t pixels = (size_t)set->height * (size_t)set->width;
    for (int s = 0; s < network->mb; s++) {
        const int at = order[first + s < set->count ? first + s : set->count - 1];
        memcpy(network->value[0] + s * pixels, set->images + at * pixels, pixels * sizeof(float));
        label[s] = set->labels[at];
    }
}

static double accuracy(struct network *network, unsigned char *label, const struct idx_set *set,
                       const int *in_order)
{
    int hits = 0;
    for (int first = 0; first < set->count; first += network->mb) {
        batch_load(network, label, set, in_order, first);
        network_forward(network);
        const int rest = set->count - first;
        hits += loss_hits(network->value[network->layer_count], label,
                          rest < network->mb ? rest : network->mb, network->classes);
    }
    return (double)hits / set->count;
}

/* All whole batches of the training set, in a new order. */
static struct epoch epoch_train(struct network *network, unsigned char *label, const struct idx_set *set,
                                int *order, const struct options *options, uint64_t *random)
{
    struct epoch epoch = {0};
    const int batches = set->count / network->mb;
    int hits = 0;
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++)
        epoch.pass_seconds[output] = -network_seconds(network, output);
    random_shuffle(random, order, set->count);
    const double start = clock_now();
    for (int b = 0; b < batches; b++) {
        batch_load(network, label, set, order, b * network->mb);
        epoch.loss += network_step(network, options->train.loss, label, (float)options->study.lr) / batches;
        hits += loss_hits(network->value[network->layer_count], label, network->mb, network->classes);
    }
    epoch.seconds = clock_now() - start;
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++)
        epoch.pass_seconds[output] += network_seconds(network, output);
    epoch.train_accuracy = (double)hits / (batches * network->mb);
    return epoch;
}

static void epoch_print(FILE *file, const char *format, const char *choice, int number,
                        const struct epoch *epoch)
{
    fprintf(file, format, choice, number, epoch->loss, epoch->train_accuracy, epoch->test_accuracy,
            epoch->seconds, epoch->pass_seconds[CONV_DST], epoch->pass_seconds[CONV_SRC],
            epoch->pass_seconds[CONV_WEI]);
    fflush(file);
}

static void replaced_tell(int layer, const char *reason)
{
    fprintf(stderr, "tripass: train: layer %d: %s; `direct` does that pass\n", layer + 1, reason);
}

/* Says which passes a points.csv does not have. */
static void layer_tell_unknown(const struct nn_choice *choice, const struct nn_layer *layer, int index)
{
    char problem[PROBLEM_STRING_MAX];
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
        if (!layer->pass[output].impl || nn_choice_knows(choice, &layer->problem, output))
            continue;
        problem_string_print(&layer->problem, problem, sizeof problem);
        fprintf(stderr, "tripass: train: layer %d: no %s of %s was measured; `direct` does it\n", index + 1,
                conv_pass_name(output), problem);
    }
}

static int *order_make(int count)
{
    int *order = must_allocate(NULL, (size_t)count, sizeof *order);
    for (int i = 0; i < count; i++)
        order[i] = i;
    return order;
}

static void network_open(struct network *network, const struct options *options, const struct idx_set *set)
{
    struct nn_choice choice;
    char why[4096];
    if (!nn_choice_parse(&choice, options->train.choice, why, sizeof why))
        usage_error("train: --impl: %s", why);
    if (options->train.mb > set->count)
        usage_error("train: a batch of %d is more than the %d training examples; try a smaller --mb",
                    options->train.mb, set->count);
    const char *reason =
        network_make(network, network_lenet, options->train.mb, (struct nn_shape){1, set->height, set->width},
                     set->classes, options->train.activation, &choice, options->study.seed,
                     options->study.threads[0], replaced_tell);
    for (int i = 0; !reason && i < network->layer_count; i++)
        layer_tell_unknown(&choice, &network->layer[i], i);
    if (reason)
        usage_error("train: %s; try other images or a smaller --mb", reason);
    nn_choice_free(&choice);
}

int command_train(struct options *options, int argc, char **argv)
{
    (void)argc, (void)argv;
    if (!options->train.data)
        usage_error("train: no data given; try scripts/digits.py digits, then tripass train --data=digits");
    if (options->problem_count)
        usage_error("%s: train takes no problem; try tripass train --help", options->problems[0]);
    struct idx_set train, test;
    struct network network;
    set_read(&train, options->train.data, "train");
    set_read(&test, options->train.data, "test");
    if (test.height != train.height || test.width != train.width || test.classes > train.classes)
        usage_error("train: %s: the test images have another size or more classes than the training images",
                    options->train.data);
    network_open(&network, options, &train);
    FILE *csv = options->train.out ? fopen(options->train.out, "w") : NULL;
    if (options->train.out && !csv)
        usage_error("train: %s: %s; try another file with -o", options->train.out, strerror(errno));
    if (csv)
        fputs("impl,epoch,loss,train_accuracy,test_accuracy,t_epoch_s,t_fwd_s,t_bwd_s,t_upd_s\n", csv);
    int *order = order_make(train.count), *in_order = order_make(test.count);
    unsigned char *label = must_allocate(NULL, (size_t)options->train.mb, 1);
    uint64_t random = options->study.seed;
    printf("%d training and %d test images of %d x %d, %d classes; batch %d, mu %g\n", train.count,
           test.count, train.height, train.width, train.classes, options->train.mb, options->study.lr);
    for (int number = 1; number <= options->train.epochs; number++) {
        struct epoch epoch = epoch_train(&network, label, &train, order, options, &random);
        epoch.test_accuracy = accuracy(&network, label, &test, in_order);
        epoch_print(
            stdout,
            "%s  epoch %2d  loss %.4f  accuracy %.4f, held out %.4f  %.2f s (fwd %.2f bwd %.2f upd %.2f)\n",
            options->train.choice, number, &epoch);
        if (csv)
            epoch_print(csv, "\"%s\",%d,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g\n", options->train.choice, number,
                        &epoch);
    }
    if (csv && (ferror(csv) || fclose(csv)))
        usage_error("train: %s: cannot be written whole; try a disk with room", options->train.out);
    free(order);
    free(in_order);
    free(label);
    network_free(&network);
    idx_free(&train);
    idx_free(&test);
    return EXIT_ALL_GOOD;
}
