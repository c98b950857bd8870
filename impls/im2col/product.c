/* The blocks of a matrix product (see product.h). SPDX-License-Identifier: Apache-2.0 */
#include "im2col/product.h"
#include "im2col/columns.h"
#include "im2col/range.h"

/* A block of rows of A stays in the second-level cache while all panels of B pass by. */
enum {
    PANEL = COLUMNS_PANEL,
    DEPTH = PRODUCT_DEPTH,
    A_BYTES = 128 << 10,
    A_ROWS = A_BYTES / sizeof(float) / DEPTH
};

void product_run(const struct brgemm_kernel *kernel, const struct product *m)
{
    const size_t width = (size_t)kernel->wide.vectors * kernel->vlen;
    const size_t depths = (m->depth + DEPTH - 1) / DEPTH, blocks = (m->rows + A_ROWS - 1) / A_ROWS;
    struct brgemm_shape shape = {
        .a_row = m->a_row, .a_k = 1, .b_block = m->b_panel, .c_row = PANEL, .c_block = m->c_panel};
    struct brgemm_segment segment[DEPTH / PANEL];
    for (size_t i = 0; i < DEPTH / PANEL; i++)
        segment[i] = (struct brgemm_segment){i * m->a_panel, i * PANEL * PANEL};
    for (size_t i = 0; i < depths * blocks; i++) {
        const struct range k = range_part(m->depth, PANEL, depths, i / blocks);
        const struct range r = range_part(m->rows, kernel->wide.rows, blocks, i % blocks);
        const int depth = (int)(k.end - k.begin), segments = m->a_panel ? (depth + PANEL - 1) / PANEL : 1;
        const size_t a_column = m->a_panel ? k.begin / PANEL * m->a_panel : k.begin;
        shape.rows = (int)(r.end - r.begin);
        shape.depth = m->a_panel ? PANEL : depth;
        shape.accumulate = m->accumulate || k.begin > 0;
        for (size_t col = 0; col < m->cols; col += width) {
            shape.vectors = (int)min(kernel->wide.vectors, (m->cols - col + kernel->vlen - 1) / kernel->vlen);
            kernel->run(&shape, segments, segment, m->a + r.begin * m->a_row + a_column,
                        m->b + col / PANEL * m->b_panel + k.begin * PANEL,
                        m->c + col / PANEL * m->c_panel + r.begin * PANEL);
        }
    }
}
