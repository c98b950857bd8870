/* What one tap reads for a strip of output pixels: runs of input pixels, and the gaps between them where the tap leaves
 * the image. Runs of a plane that keep their distance are joined across the gap, which is masked: with as many output
 * as input columns and stride 1, a strip of one image is a single run. Backward adds to what a run covers, zeros to its
 * gaps, so no run may reach into the plane of another channel, to which another thread adds.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RUNS_H
#define TRIPASS_RUNS_H

#include "conv.h"

/* Columns [at, at + count) of a strip; `from` is where a run's pixels begin, in floats from the plane of a
 * channel in the first image. */
struct run {
    ptrdiff_t from;
    int at, count;
};

enum { STRIP = 256 };
struct strip {
    int runs, gaps;
    struct run run[STRIP], gap[STRIP];
    int keep[STRIP]; /* by column, inside the runs: ~0, 0 in a joined gap */
};

/* What tap `tap` = kh * width of the kernel + kw reads for `count` <= STRIP output pixels of the minibatch from `pixel` on. */
void runs_find(const struct conv_problem *problem, size_t pixel, int count, int tap, struct strip *strip);

/* A gap behind all that there is. */
void runs_add_gap(struct strip *strip, int at, int count);

#endif
