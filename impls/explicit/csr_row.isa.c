/* A sparse row times a dense matrix (see csr_row.h). Entries come one after another from anywhere, the lanes are
 * the columns of the dense matrix. SPDX-License-Identifier: Apache-2.0 */
#include "explicit/csr_row.h"
#include "kernels/simd.h"

/* `vectors` columns at a time, entries in `chains` independent sums: together 4, to cover the latency of the
 * multiply-add; both are constants at every call. */
SIMD void block(int vectors, int chains, const struct csr_shape *s, size_t entries, const int *col,
                const float *value, const float *b, float *c)
{
    vec sum[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    size_t e = 0;
    for (; e + chains <= entries; e += chains)
        for (int i = 0; i < chains; i++)
            for (int v = 0; v < vectors; v++)
                sum[i * vectors + v] +=
                    vec_all(value[e + i]) * vec_load(b + col[e + i] * s->b_stride + v * VLEN);
    for (; e < entries; e++)
        for (int v = 0; v < vectors; v++)
            sum[v] += vec_all(value[e]) * vec_load(b + col[e] * s->b_stride + v * VLEN);
    for (int v = 0; v < vectors; v++) {
        vec total = sum[v];
        for (int i = 1; i < chains; i++)
            total += sum[i * vectors + v];
        if (s->accumulate)
            total += vec_load(c + v * VLEN);
        vec_store(c + v * VLEN, total);
    }
}

csr_row_fn ISA_NAME(csr_row);

void ISA_NAME(csr_row)(const struct csr_shape *s, size_t entries, const int *col, const float *value,
                       const float *b, float *c)
{
    size_t n = 0;
    for (; n + 4 * VLEN <= s->cols; n += 4 * VLEN)
        block(4, 1, s, entries, col, value, b + n, c + n);
    for (; n + 2 * VLEN <= s->cols; n += 2 * VLEN)
        block(2, 2, s, entries, col, value, b + n, c + n);
    for (; n < s->cols; n += VLEN)
        block(1, 4, s, entries, col, value, b + n, c + n);
}
