/* Seeded data. SPDX-License-Identifier: Apache-2.0 */
#include "fill.h"

#include "random.h"

#include <math.h>

static int exact_limit(double reduction)
{
    double limit = floor(sqrt(0x1p24 / reduction));
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
        case FILL_REAL: data[i] = real; break;
        case FILL_MAGNITUDE: data[i] = fabsf(real); break;
        }
    }
}
