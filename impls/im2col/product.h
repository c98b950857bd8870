/* A matrix product in panels of COLUMNS_PANEL columns (columns.h) by the register kernel, in blocks that caches hold: after
 * Goto and van de Geijn (ACM TOMS 34(3), 2008).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PRODUCT_H
#define TRIPASS_PRODUCT_H

#include "kernels/brgemm.h"

/* C[rows][cols] (+)= A[rows][depth] B[depth][cols]; B and C in panels. Whole vectors are read and written, into the rest
 * of a panel. A is row-major, or in panels too; then its columns up to the end of its last panel, and the rows of B that
 * meet them, are zero. */
struct product {
    size_t rows, cols, depth;
    const float *a, *b;
    float *c;
    size_t a_row;   /* floats from row to row of A */
    size_t a_panel; /* from panel to panel of A; 0: row-major */
    size_t b_panel, c_panel;
    bool accumulate;
};

/* Steps of a reduction that are done at once: of B, as wide as the register tile of AVX2, they are 18 KB of a first-level
 * cache of 32 KB. */
enum { PRODUCT_DEPTH = 144 };

void product_run(const struct brgemm_kernel *kernel, const struct product *product);

#endif
