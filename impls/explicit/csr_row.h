/* One row of a sparse matrix times a dense matrix: c[n] (+)= sum over entries e of value[e] * b[col[e]][n].
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CSR_ROW_H
#define TRIPASS_CSR_ROW_H

#include "kernels/isa.h"

#include <stddef.h>

/* The same for all rows. Whole vectors are read and written: rows of b and c are padded to CSR_PADDING floats. */
enum { CSR_PADDING = 16 };
struct csr_shape {
    size_t cols; /* n, a multiple of the padding */
    size_t b_stride;
    bool accumulate;
};

typedef void csr_row_fn(const struct csr_shape *shape, size_t entries, const int *col, const float *value,
                        const float *b, float *c);

/* The function for an instruction set. */
csr_row_fn *csr_row(enum isa isa);

#endif
