/* The transforms of F(m, 3) (points.h): a window of pixels to its values at the n x n points, and back.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_TRANSFORM_H
#define TRIPASS_TRANSFORM_H

#include "kernels/isa.h"
#include "winograd/points.h"

#include <stdbool.h>
#include <stddef.h>

/* Where a window of pixels lies; a pixel is 16 floats (channels). */
struct winograd_window {
    float *base;          /* pixel (0, 0) */
    ptrdiff_t row, pixel; /* floats from a pixel to the one below and to its right */
    int height, width;    /* pixels outside are read as zero and not written */
    int h, w;             /* top left pixel of the window; may lie outside */
    int h_pairs, w_pairs; /* of points: the kernel's, or fewer for a smaller window */
    bool stream;          /* write past the caches; then call the kernel's fence */
};

/* Values at the points: point (i, j) of an item begins at base[i * row + j * point + number * item]; those that a smaller
 * window lacks are left alone, and a direction with one tap has one value. The window of item i is that of item 0 moved by i * window floats: channel blocks of a tile, or channels of a
 * block of weights. */
struct winograd_values {
    float *base;
    ptrdiff_t point, row, item, window;
    int items;
};

typedef void winograd_transform_fn(const struct winograd_window *window,
                                   const struct winograd_values *values);

/* The five transforms of one F(m, 3) of stride 1, or of the phases of stride 2, with two taps in a direction or one:
 * height x width of the window. A smaller window has n and m of its pairs; taps have all, and so has stride 2. */
struct winograd_kernel {
    const struct winograd_points *points;
    winograd_transform_fn *data;     /* n x n pixels of the larger image to values: B^T d B */
    winograd_transform_fn *spread;   /* m x m pixels of the smaller image to values: A y A^T (gradient) */
    winograd_transform_fn *weights;  /* taps to values: G g G^T */
    winograd_transform_fn *output;   /* values to m x m pixels: A^T v A */
    winograd_transform_fn *gradient; /* values to taps: G^T v G */
    void (*fence)(void);             /* once a thread, after the last streamed window: orders its stores */
};

/* stride: 1 or 2; pairs: 1, 2, 3 for F(2, 3), F(4, 3), F(6, 3), or m of 3, 5, 7 with stride 2. */
const struct winograd_kernel *winograd_kernel(enum isa isa, int stride, int pairs);

#endif
