/* Spreading pixels among zeros (see spread.h). SPDX-License-Identifier: Apache-2.0 */
#include "kernels/spread.h"
#include "kernels/simd.h"

SIMD void put(float *to, vec v, bool stream)
{
    if (stream)
        vec_stream(to, v);
    else
        vec_store(to, v);
}

SIMD void spread(const float *from, int step, float *to, int width, bool stream)
{
    for (int x = 0, left = 0; x < width; x++, left--, to += SPREAD_BLOCK) {
        const bool here = from && left == 0;
        for (int i = 0; i < SPREAD_BLOCK; i += VLEN)
            put(to + i, here ? vec_load(from + i) : vec_zero(), stream);
        if (here) {
            from += SPREAD_BLOCK;
            left = step;
        }
    }
}

static void spread_row(const float *from, int step, float *to, int width, bool stream)
{
    if (stream)
        spread(from, step, to, width, true);
    else
        spread(from, step, to, width, false);
}

const struct spread_kernel ISA_NAME(spread_kernel) = {spread_row, vec_stream_fence};
