/* Where the taps of a convolution read, and how a piece of the input is laid out so that they read it evenly.
 *
 * Forward and backward are one computation here, "gather": output pixel (y, x) of a phase is the sum over taps
 * of in(y * step + tap.in) * weight(tap.k). Forward has one phase. Backward with stride s has s * s: the pixels
 * of src at equal remainders are reached by the same taps, so nothing is spread with zeros. The gradient reads
 * its input exactly as forward does.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_STRIP_H
#define TRIPASS_STRIP_H

#include "conv.h"

/* Tap k of the kernel reads input coordinate position * in_step + in. */
struct tap {
    int k, in;
};

/* One axis of a phase: positions 0 .. n-1 are output coordinates out + position * out_step. The taps stand in
 * rising order of `in`, so that those inside the image are a range. */
struct axis {
    int n, out, out_step, in_step, taps;
    struct tap *tap;
};

/* Lengths along one axis (height or width) of a problem. */
struct extent {
    int in, out, kernel, stride, pad, dilation; /* dilation: distance of taps, >= 1 */
};

/* Axis of phase `f` (0 <= f < stride, backward; 0 otherwise). Its taps are allocated: free them. False: no
 * memory. */
bool axis_make(struct axis *axis, const struct extent *extent, enum conv_tensor output, int f);

/* The taps [first, last) that read inside 0 .. in-1 at this position. */
struct range {
    int first, last;
};
struct range axis_valid(const struct axis *axis, int position, int in);

/* An activation tensor in native layout: [images][blocks][h][w][block]. */
struct activation {
    int blocks, block, h, w;
};

/* How the input of a phase is read. All distances are in floats, from the pixel that the first taps of the first
 * output row of the strip read.
 *   DIRECT  the tensor itself: no tap reads left or right of the image, or where one does the caller leaves it out.
 *   WIDE    rows copied with their zero padding; [block][row][x][channel].
 *   NARROW  for each tap its own columns, so that rows of output pixels follow each other without a gap and short
 *           rows fill register tiles together; [block][tap][row][x][channel].
 * Copied rows are sorted by their remainder modulo the row step, so that consecutive outputs read consecutive rows.
 * Rows outside the image are not copied: no valid tap reads them. */
struct strip {
    enum { DIRECT, WIDE, NARROW } kind;
    bool merged;                   /* output rows follow each other at the distance of pixels */
    int rows;                      /* output rows in a strip */
    ptrdiff_t pixel, row, block;   /* from an output pixel, row, input channel block to the next */
    ptrdiff_t tap_row, tap_column; /* of the copy: remainder classes; columns of taps (NARROW) */
    size_t floats;                 /* to be copied; 0 for DIRECT */
};

/* Chooses the layout, with at most `rows` output rows a strip. gapless: the output too has its rows one after the other.
 * in_place: the caller sees to it that no tap reads outside, so nothing is copied. */
struct strip strip_make(const struct axis *y, const struct axis *x, const struct activation *in, bool gapless,
                        bool in_place, int rows);

/* Distance of the input that tap (ty, tx) reads. */
ptrdiff_t strip_tap(const struct strip *strip, const struct axis *y, const struct axis *x,
                    const struct activation *in, int ty, int tx);

/* Where the strip of output rows y0 and on begins in the image (DIRECT); or copies it to `copy`. */
const float *strip_open(const struct strip *strip, const struct axis *y, const struct axis *x,
                        const struct activation *in, const float *image, int y0, float *copy);

#endif
