/* Seeded data. SPDX-License-Identifier: Apache-2.0 */
#include "fill.h"

#include "random.h"

#include <math.h>

static int exact_limit(double reduction)
{
    double limit = floor(sqrt(0x1p24 / CONV_EXACT_MOST / reduction));
    return limit > 4 ? 4 : limit < 1 ? 1 : (int)limit;
}

void fill_tensor(float *data, size_t elements, enum fill fill, double reduction, uint64_t seed, int threads)
{
    const int limit = exact_limit(reduction);
    const uint64_t stream = random_next(&seed); /* neighboring seeds have nothing in common */
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < elements; i++) {
        uint64_t state =
            stream + i * 0x9E3779B97F4A7C15; /* the stream's i-th number, without its predecessors */
        uint64_t bits = random_next(&state) >> 32;
        float real = (float)((int)(bits >> 8) - (1 << 23)) * 0x1p-23f;
        switch (fill) {
        case FILL_EXACT: data[i] = (float)((int)(bits * (uint64_t)(2 * limit + 1) >> 32) - limit); break;
        case FILL_TAPS: data[i] = copysignf(0.75F + fabsf(real) / 4, real); break;
        case FILL_REAL: data[i] = real; break;
        case FILL_MAGNITUDE: data[i] = fabsf(real); break;
        }
    }
}

enum conv_tensor fill_sparse(enum conv_tensor output)
{
    return output == CONV_DST ? CONV_SRC : CONV_DST;
}

static int common_divisor(int a, int b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* Two taps k, k' of one output meet pixels (k - k') (d + 1) apart, or that / stride backward: no multiple of a P that is as
 * large as the kernel and has no divisor in common with stride and d + 1. With a stride it is larger than the kernel, because
 * Winograd's tiles read so many more pixels then, and each adds to their rounding errors. */
static int period(int kernel, int stride, int dilation)
{
    int p = kernel + stride - 1;
    while (common_divisor(p, stride) > 1 || common_divisor(p, dilation + 1) > 1)
        p++;
    return p;
}

/* Channel c of image mb keeps the kept pixels whose turn it is: they are counted along rows from a start by chance. */
static void isolate_pixels(float *image, const struct conv_problem *p, const int n[4], int c, uint64_t seed)
{
    const int h = period(p->kh, p->sh, p->dh), w = period(p->kw, p->sw, p->dw), channels = n[1] / p->g;
    const int first_h = random_below(&seed, h < n[2] ? h : n[2]),
              first_w = random_below(&seed, w < n[3] ? w : n[3]);
    const size_t start = (size_t)random_below(&seed, channels) + (size_t)(n[1] - c),
                 across = (size_t)(n[3] / w + 1);
    for (int i = 0; i < n[2]; i++)
        for (int j = 0; j < n[3]; j++) {
            const size_t turn = start + (size_t)(i / h) * across + (size_t)(j / w);
            if (i % h != first_h || j % w != first_w || turn % (size_t)channels)
                image[i * n[3] + j] = 0;
        }
}

/* Of channel oc one pixel is kept. */
static void isolate_channel(float *dst, const struct conv_problem *p, int oc, uint64_t seed)
{
    const size_t pixels = (size_t)p->oh * (size_t)p->ow;
    const int kept_mb = random_below(&seed, p->mb);
    const size_t kept = random_next(&seed) % pixels;
    for (int mb = 0; mb < p->mb; mb++)
        for (size_t i = 0; i < pixels; i++)
            if (mb != kept_mb || i != kept)
                dst[((size_t)mb * (size_t)p->oc + (size_t)oc) * pixels + i] = 0;
}

void fill_isolate(float *sparse, const struct conv_problem *p, enum conv_tensor output, uint64_t seed,
                  int threads)
{
    int n[4];
    conv_extents(p, fill_sparse(output), n);
    const size_t pixels = (size_t)n[2] * (size_t)n[3];
    const int channels = output == CONV_WEI ? n[1] : n[0] * n[1];
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < channels; i++)
        if (output == CONV_WEI)
            isolate_channel(sparse, p, i, seed + (uint64_t)i);
        else
            isolate_pixels(sparse + (size_t)i * pixels, p, n, i % n[1], seed + (uint64_t)(i / n[1]));
}
