/* Reading IDX files. SPDX-License-Identifier: Apache-2.0 */
#include "idx.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDX_BYTE = 8, DIMENSIONS_MAX = 3, SIDE_MAX = 1 << 14, COUNT_MAX = 1 << 28 };

/* A whole file of `dimensions` sizes; the data are returned, the caller's to free. NULL: *problem says why. */
static unsigned char *read_bytes(const char *path, int dimensions, uint32_t *size, const char **problem)
{
    unsigned char header[4 + 4 * DIMENSIONS_MAX], extra, *data = NULL;
    const size_t header_bytes = 4 + 4 * (size_t)dimensions;
    FILE *file = fopen(path, "rb");
    if (!file) {
        *problem = strerror(errno);
        return NULL;
    }
    size_t bytes = 1;
    *problem = NULL;
    if (fread(header, 1, header_bytes, file) != header_bytes || header[0] || header[1])
        *problem = "not an IDX file";
    else if (header[2] != IDX_BYTE)
        *problem = "not of unsigned bytes (IDX type 8)";
    else if (header[3] != dimensions)
        *problem = dimensions == 1 ? "not a list of labels (IDX with 1 dimension)"
                                   : "not a list of images (IDX with 3 dimensions)";
    for (int d = 0; d < dimensions && !*problem; d++) {
        const unsigned char *at = header + 4 + 4 * d;
        size[d] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        if (size[d] < 1 || size[d] > (d ? SIDE_MAX : COUNT_MAX))
            *problem = "a size in its header is zero or absurd";
        bytes *= size[d];
    }
    if (!*problem && !(data = malloc(bytes)))
        *problem = "too large for the memory";
    if (!*problem && fread(data, 1, bytes, file) != bytes)
        *problem = "truncated: shorter than its header says";
    if (!*problem && fread(&extra, 1, 1, file) == 1)
        *problem = "longer than its header says";
    fclose(file);
    if (*problem) {
        free(data);
        return NULL;
    }
    return data;
}

bool idx_read(struct idx_set *set, const char *image_path, const char *label_path, char *why, size_t why_size)
{
    uint32_t size[DIMENSIONS_MAX], labels;
    const char *problem;
    memset(set, 0, sizeof *set);
    unsigned char *pixels = read_bytes(image_path, 3, size, &problem);
    if (!pixels) {
        snprintf(why, why_size, "%s: %s", image_path, problem);
        return false;
    }
    set->labels = read_bytes(label_path, 1, &labels, &problem);
    const size_t elements = (size_t)size[0] * size[1] * size[2];
    if (set->labels)
        set->images = malloc(elements * sizeof *set->images);
    if (!set->labels)
        snprintf(why, why_size, "%s: %s", label_path, problem);
    else if (labels != size[0])
        snprintf(why, why_size, "%s: %u labels for %u images", label_path, labels, size[0]);
    else if (!set->images)
        snprintf(why, why_size, "%s: too large for the memory", image_path);
    else {
        unsigned char largest = 1;
        for (size_t i = 0; i < elements; i++)
            if (pixels[i] > largest)
                largest = pixels[i];
        for (size_t i = 0; i < elements; i++)
            set->images[i] = (float)pixels[i] / (float)largest;
        set->count = (int)size[0];
        set->height = (int)size[1];
        set->width = (int)size[2];
        for (int i = 0; i < set->count; i++)
            if (set->labels[i] >= set->classes)
                set->classes = set->labels[i] + 1;
        free(pixels);
        return true;
    }
    free(pixels);
    idx_free(set);
    return false;
}

void idx_free(struct idx_set *set)
{
    free(set->images);
    free(set->labels);
    memset(set, 0, sizeof *set);
}
