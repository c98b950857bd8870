/* What will be read later, to be prefetched piece by piece while something else is computed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_AHEAD_H
#define TRIPASS_AHEAD_H

#include "kernels/brgemm.h"

/* All in floats. The pieces stand block by block, image by image. */
struct ahead {
    const float *at;        /* the first */
    ptrdiff_t block, image; /* from a block, from an image to the next */
    ptrdiff_t piece, done;  /* of a block that is wanted; of all pieces */
    int blocks, images;
};

/* As much of it, in one piece, as a call of this shape prefetches with register tiles of so many rows. */
static inline struct brgemm_ahead ahead_take(struct ahead *ahead, const struct brgemm_shape *s, int segments,
                                             int rows)
{
    const int tiles = (s->rows + rows - 1) / rows;
    const ptrdiff_t most = (ptrdiff_t)tiles * segments * (s->depth / BRGEMM_AHEAD) * BRGEMM_LINE;
    if (ahead->done == ahead->piece * ahead->blocks * ahead->images)
        return (struct brgemm_ahead){0};
    const ptrdiff_t n = ahead->done / ahead->piece, offset = ahead->done % ahead->piece,
                    left = ahead->piece - offset;
    ahead->done += most < left ? most : left;
    return (struct brgemm_ahead){.at = ahead->at + n / ahead->blocks * ahead->image +
                                       n % ahead->blocks * ahead->block + offset,
                                 .tiles = tiles};
}

#endif
