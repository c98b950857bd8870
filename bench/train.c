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
#include "progress.h"
#include "random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What an epoch came to. */
struct epoch {
    double loss; /* mean over the batches, each before its step */
    double train_accuracy, test_accuracy;
    double seconds, part[NETWORK_PARTS]; /* the whole epoch's training, and what it consists of */
};

/* The parts in the order in which they are shown, and what is left of the epoch. */
static const struct {
    const char *title, *column;
    int part; /* NETWORK_PARTS: the rest */
} parts[] = {
    {"fwd", "t_fwd_s", NETWORK_PASSES + CONV_DST}, {"bwd", "t_bwd_s", NETWORK_PASSES + CONV_SRC},
    {"upd", "t_upd_s", NETWORK_PASSES + CONV_WEI}, {"layouts", "t_layouts_s", NETWORK_CONVERSIONS},
    {"slopes", "t_slopes_s", NETWORK_SLOPES},      {"pooling", "t_pooling_s", NETWORK_POOLING},
    {"rest", "t_rest_s", NETWORK_PARTS},
};
enum { SHOWN_PARTS = sizeof parts / sizeof *parts };

static double part_seconds(const struct epoch *epoch, int part)
{
    double rest = epoch->seconds;
    for (int i = 0; i < NETWORK_PARTS; i++)
        rest -= epoch->part[i];
    return part < NETWORK_PARTS ? epoch->part[part] : rest;
}

/* Threads that wait must sleep: on a machine that others use, too, they would keep the core from the one that they wait for. The
 * OpenMP runtime reads its environment once, when it is loaded, so the program starts itself again. */
static void sleep_while_waiting(int threads, char **argv)
{
    char number[16];
    if (getenv("OMP_WAIT_POLICY"))
        return; /* we have done so, or the user knows better */
    snprintf(number, sizeof number, "%d", threads);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv("OMP_NUM_THREADS", number, 1);
    execv("/proc/self/exe", argv); /* returns only if it fails; then threads spin */
}

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
                                int *order, const struct options *options, uint64_t *random,
                                struct progress *progress, int number)
{
    struct epoch epoch = {0};
    const int batches = set->count / network->mb;
    double before[NETWORK_PARTS];
    char text[32];
    int hits = 0;
    network_times(network, before);
    snprintf(text, sizeof text, "batches, epoch %d", number);
    random_shuffle(random, order, set->count);
    const double start = clock_now();
    for (int b = 0; b < batches; b++) {
        batch_load(network, label, set, order, b * network->mb);
        epoch.loss += network_step(network, options->train.loss, label, (float)options->study.lr) / batches;
        hits += loss_hits(network->value[network->layer_count], label, network->mb, network->classes);
        if (progress->terminal)
            progress_step(progress, text);
    }
    epoch.seconds = clock_now() - start;
    network_times(network, epoch.part);
    for (int i = 0; i < NETWORK_PARTS; i++)
        epoch.part[i] -= before[i];
    epoch.train_accuracy = (double)hits / (batches * network->mb);
    return epoch;
}

static void print_header(void)
{
    printf("\nepoch     loss  accuracy  held out  seconds =");
    for (int i = 0; i < SHOWN_PARTS; i++)
        printf("%s%s", i ? " + " : " ", parts[i].title);
    printf("\n");
}

static void epoch_print(int number, const struct epoch *epoch)
{
    printf("%5d  %7.4f  %8.4f  %8.4f  %7.3f ", number, epoch->loss, epoch->train_accuracy,
           epoch->test_accuracy, epoch->seconds);
    for (int i = 0; i < SHOWN_PARTS; i++)
        printf("%*.3f", (int)strlen(parts[i].title) + 3, part_seconds(epoch, parts[i].part));
    printf("\n");
    fflush(stdout);
}

static void csv_header(FILE *csv)
{
    fputs("impl,epoch,loss,train_accuracy,test_accuracy,t_epoch_s", csv);
    for (int i = 0; i < SHOWN_PARTS; i++)
        fprintf(csv, ",%s", parts[i].column);
    fputc('\n', csv);
}

static void csv_row(FILE *csv, const char *choice, int number, const struct epoch *epoch)
{
    fprintf(csv, "\"%s\",%d,%.9g,%.9g,%.9g,%.9g", choice, number, epoch->loss, epoch->train_accuracy,
            epoch->test_accuracy, epoch->seconds);
    for (int i = 0; i < SHOWN_PARTS; i++)
        fprintf(csv, ",%.9g", part_seconds(epoch, parts[i].part));
    fputc('\n', csv);
    fflush(csv);
}

/* ---- the network, layer by layer ---- */

/* Why `direct` does a pass and no chosen implementation does; "": the chosen one does it. */
static const char *why_direct(const struct nn_layer *layer, const struct nn_choice *choice,
                              enum conv_tensor output, char text[128])
{
    text[0] = '\0';
    if (layer->pass[output].impl && !nn_choice_knows(choice, &layer->problem, output))
        strcpy(text, "the study did not measure it");
    else if (layer->refused[output])
        snprintf(text, 128, "%s: %s", nn_choice_for(choice, &layer->problem, output)->name,
                 layer->refused[output]);
    return text;
}

static const enum conv_tensor pass_order[CONV_TENSORS] = {CONV_DST, CONV_SRC, CONV_WEI};

static void layer_print(const struct nn_layer *layer, const struct nn_choice *choice, int index)
{
    static const char *const pooling[] = {[NN_MAX_POOL] = "maximum", [NN_MEAN_POOL] = "mean"};
    char what[32], in[32], out[32], parameters[32] = "";
    const bool conv = layer->kind == NN_CONV, affine = conv && layer->in.height * layer->in.width == 1;
    if (conv)
        snprintf(what, sizeof what, "%s %s", affine ? "affine" : "3x3", activations[layer->activation].name);
    else
        snprintf(what, sizeof what, "%s of %dx%d", pooling[layer->kind], layer->size, layer->size);
    snprintf(in, sizeof in, "%dx%dx%d", layer->in.channels, layer->in.height, layer->in.width);
    snprintf(out, sizeof out, "%dx%dx%d", layer->out.channels, layer->out.height, layer->out.width);
    if (conv)
        snprintf(parameters, sizeof parameters, "%zu",
                 conv_elements(&layer->problem, CONV_WEI) + (size_t)layer->out.channels);
    printf("%5d  %-15s %-10s  %-10s %10s %8d", index + 1, what, in, out, parameters, layer->threads);
    for (int i = 0; conv && i < CONV_TENSORS; i++) {
        const struct pass *pass = &layer->pass[pass_order[i]];
        char cell[32], why[128];
        snprintf(cell, sizeof cell, "%s%s", pass->impl ? pass->impl->name : "-",
                 *why_direct(layer, choice, pass_order[i], why) ? "*" : "");
        printf(i < CONV_TENSORS - 1 ? "  %-16s" : "  %s", cell);
    }
    printf("\n");
}

static void layer_print_reasons(const struct nn_layer *layer, const struct nn_choice *choice, int index)
{
    char problem[PROBLEM_STRING_MAX];
    problem_string_print(&layer->problem, problem, sizeof problem);
    for (int i = 0; i < CONV_TENSORS; i++) {
        char why[128];
        if (*why_direct(layer, choice, pass_order[i], why))
            printf("* layer %d, %s of %s: `direct` does it (%s)\n", index + 1, conv_pass_name(pass_order[i]),
                   problem, why);
    }
}

static void network_print(const struct network *network, const struct nn_choice *choice)
{
    printf("\nlayer  what            in          out        parameters  threads  %-16s  %-16s  %s\n", "fwd",
           "bwd", "upd");
    for (int i = 0; i < network->layer_count; i++)
        layer_print(&network->layer[i], choice, i);
    for (int i = 0; i < network->layer_count; i++)
        if (network->layer[i].kind == NN_CONV)
            layer_print_reasons(&network->layer[i], choice, i);
    printf("layouts: to and from the layouts of the implementations; slopes: dz = dy phi'(z); rest: batches, "
           "loss,"
           " step\n");
}

static int *order_make(int count)
{
    int *order = must_allocate(NULL, (size_t)count, sizeof *order);
    for (int i = 0; i < count; i++)
        order[i] = i;
    return order;
}

static void network_open(struct network *network, struct nn_choice *choice, const struct options *options,
                         const struct idx_set *set)
{
    char why[4096];
    if (!nn_choice_parse(choice, options->train.choice, why, sizeof why))
        usage_error("train: --impl: %s", why);
    if (options->train.mb > set->count)
        usage_error("train: a batch of %d is more than the %d training examples; try a smaller --mb",
                    options->train.mb, set->count);
    const struct nn_setup setup = {.mb = options->train.mb,
                                   .threads = options->study.threads[0],
                                   .choice = choice,
                                   .seed = options->study.seed};
    const enum activation_kind phi = (enum activation_kind)(options->train.activation - activations);
    const char *reason = network_make(network, network_lenet, &setup,
                                      (struct nn_shape){1, set->height, set->width}, set->classes, phi);
    if (reason)
        usage_error("train: %s; try other images or a smaller --mb", reason);
}

static void train_all(struct network *network, const struct options *options, const struct idx_set *train,
                      const struct idx_set *test, FILE *csv)
{
    const int epochs = options->train.epochs;
    int *order = order_make(train->count), *in_order = order_make(test->count);
    unsigned char *label = must_allocate(NULL, (size_t)options->train.mb, 1);
    uint64_t random = options->study.seed;
    struct progress progress;
    progress_start(&progress, epochs * (train->count / network->mb), 0);
    print_header();
    for (int number = 1; number <= epochs; number++) {
        struct epoch epoch = epoch_train(network, label, train, order, options, &random, &progress, number);
        epoch.test_accuracy = accuracy(network, label, test, in_order);
        progress_clear(&progress);
        epoch_print(number, &epoch);
        if (csv)
            csv_row(csv, options->train.choice, number, &epoch);
    }
    free(order);
    free(in_order);
    free(label);
}

int command_train(struct options *options, int argc, char **argv)
{
    (void)argc;
    if (!options->train.data)
        usage_error("train: no data given; try scripts/digits.py digits, then tripass train --data=digits");
    if (options->problem_count)
        usage_error("%s: train takes no problem; try tripass train --help", options->problems[0]);
    if (options->study.thread_count > 1)
        usage_error("train: --threads: one network has one thread count; try --threads=%d",
                    options->study.threads[0]);
    sleep_while_waiting(options->study.threads[0], argv);
    struct idx_set train, test;
    struct nn_choice choice;
    struct network network;
    set_read(&train, options->train.data, "train");
    set_read(&test, options->train.data, "test");
    if (test.height != train.height || test.width != train.width || test.classes > train.classes)
        usage_error("train: %s: the test images have another size or more classes than the training images",
                    options->train.data);
    network_open(&network, &choice, options, &train);
    FILE *csv = options->train.out ? fopen(options->train.out, "w") : NULL;
    if (options->train.out && !csv)
        usage_error("train: %s: %s; try another file with -o", options->train.out, strerror(errno));
    if (csv)
        csv_header(csv);
    printf("%d training and %d test images of %d x %d, %d classes; batch %d, mu %g\n", train.count,
           test.count, train.height, train.width, train.classes, options->train.mb, options->study.lr);
    network_print(&network, &choice);
    nn_choice_free(&choice);
    train_all(&network, options, &train, &test, csv);
    if (csv && (ferror(csv) || fclose(csv)))
        usage_error("train: %s: cannot be written whole; try a disk with room", options->train.out);
    network_free(&network);
    idx_free(&train);
    idx_free(&test);
    return EXIT_ALL_GOOD;
}
