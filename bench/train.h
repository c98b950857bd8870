/* `tripass train`, see train.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TRAIN_H
#define TRIPASS_TRAIN_H

#include "activation.h"
#include "loss.h"

struct train_options {
    const char
        *data; /* directory with train-images.idx, train-labels.idx, test-images.idx, test-labels.idx */
    const char *choice; /* see nn/choice.h */
    const struct activation *activation;
    const struct loss *loss;
    int epochs, mb;
    const char *out; /* CSV file, or NULL */
};

#endif
