/* Images and labels in IDX files, the format of MNIST (LeCun, Cortes, Burges): big-endian, a magic number
 * 0 0 TYPE DIMENSIONS, one 32-bit size per dimension, then the data. Type 8 (unsigned byte) only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_IDX_H
#define TRIPASS_IDX_H

#include <stdbool.h>
#include <stddef.h>

struct idx_set {
    int count, height, width, classes; /* classes: largest label + 1 */
    float *images;                     /* count x height x width, scaled to [0, 1] by the largest value */
    unsigned char *labels;             /* count */
};

/* Reads a file of images and one of labels. On failure (not IDX, truncated, longer than it says, counts that differ,
 * empty) writes one line "FILE: what is wrong" to `why` and returns false. */
bool idx_read(struct idx_set *set, const char *image_path, const char *label_path, char *why,
              size_t why_size);
void idx_free(struct idx_set *set);

#endif
