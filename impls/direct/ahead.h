/* What will be read of an activation tensor, to be prefetched piece by piece while something else is computed: pixel
 * rows of some channel blocks of some images.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_AHEAD_H
#define TRIPASS_AHEAD_H

#include "strip.h"

/* All in floats. The pieces stand block by block, image by image. */
struct ahead {
    const float *at;        /* the first */
    ptrdiff_t block, image; /* from a block, from an image to the next */
    ptrdiff_t piece, done;  /* of a block that is wanted; of all pieces */
    int blocks, images;
};

/* Rows first <= y < last, as far as they are inside, of `blocks` blocks from `block` on, in `images` images that are
 * `image` floats apart. */
static inline struct ahead ahead_open(const struct activation *a, const float *block, int blocks, int images,
                                      ptrdiff_t image, int first, int last)
{
    const ptrdiff_t row = (ptrdiff_t)a->w * a->block;
    first = first < 0 ? 0 : first;
    last = last > a->h ? a->h : last;
    if (first >= last)
        return (struct ahead){0};
    struct ahead ahead = {.at = block + first * row,
                          .block = a->h * row,
                          .image = image,
                          .piece = (last - first) * row,
                          .blocks = blocks,
                          .images = images};
    if (ahead.piece == ahead.block) { /* whole blocks follow each other */
        ahead.piece *= blocks;
        ahead.blocks = 1;
    }
    return ahead;
}

/* Where the next `floats` at most, in one piece, begin; NULL: there are none. */
static inline const float *ahead_take(struct ahead *ahead, ptrdiff_t floats)
{
    if (ahead->done == ahead->piece * ahead->blocks * ahead->images)
        return NULL;
    const ptrdiff_t n = ahead->done / ahead->piece, offset = ahead->done % ahead->piece;
    ahead->done += floats < ahead->piece - offset ? floats : ahead->piece - offset;
    return ahead->at + n / ahead->blocks * ahead->image + n % ahead->blocks * ahead->block + offset;
}

#endif
