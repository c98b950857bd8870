/* Losses and their gradients. SPDX-License-Identifier: Apache-2.0 */
#include "loss.h"

#include <math.h>
#include <string.h>

static int largest(const float *scores, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (scores[c] > scores[best])
            best = c;
    return best;
}

static double softmax(const float *scores, const unsigned char *label, int mb, int classes, float *gradient)
{
    double loss = 0;
    for (int s = 0; s < mb; s++, scores += classes, gradient += classes) {
        const double top = (double)scores[largest(scores, classes)]; /* exp stays in range */
        double sum = 0;
        for (int c = 0; c < classes; c++)
            sum += exp((double)scores[c] - top);
        for (int c = 0; c < classes; c++)
            gradient[c] = (float)((exp((double)scores[c] - top) / sum - (c == label[s])) / mb);
        loss -= ((double)scores[label[s]] - top - log(sum)) / mb;
    }
    return loss;
}

static double squared(const float *scores, const unsigned char *label, int mb, int classes, float *gradient)
{
    double loss = 0;
    for (int i = 0; i < mb * classes; i++) {
        double error = (double)scores[i] - (i % classes == label[i / classes]);
        gradient[i] = (float)(error / mb);
        loss += error * error / 2 / mb;
    }
    return loss;
}

const struct loss losses[] = {{"softmax", softmax}, {"squared", squared}, {NULL, NULL}};

const struct loss *loss_find(const char *name)
{
    for (const struct loss *l = losses; l->name; l++)
        if (!strcmp(l->name, name))
            return l;
    return NULL;
}

int loss_hits(const float *scores, const unsigned char *label, int mb, int classes)
{
    int hits = 0;
    for (int s = 0; s < mb; s++)
        hits += largest(scores + (long)s * classes, classes) == label[s];
    return hits;
}
