/* The register kernel that every family but explicit is built from: a batch-reduce matrix product
 *
 *     C[i][j]  (+)=  sum over segments s, and k < depth, of  A_s[i][k] * B_s[k][j]
 *
 * i < rows (any number; cut into register tiles), j < vectors * vlen. A is read one scalar at a time and
 * broadcast, so it may be an image with a pixel stride (direct convolution: one segment per channel block and tap),
 * a matrix (im2col), transformed tiles (Winograd), or have pixels as the reduction (weight gradient). The columns of
 * B and C stand in blocks of BRGEMM_BLOCK, the channel blocks of the layouts. One kernel, many users: Georganas et al.,
 * "High-Performance Deep Learning via a Single Building Block", IPDPS 2020 (arXiv 1906.06440).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BRGEMM_H
#define TRIPASS_BRGEMM_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    BRGEMM_BLOCK = 16,
    BRGEMM_LINE = 16, /* floats in a cache line */
    BRGEMM_AHEAD = 4, /* steps of the reduction for each line prefetched */
};

/* Where a segment's A and B begin, in floats from the base pointers of the call. */
struct brgemm_segment {
    ptrdiff_t a, b;
};

/* What to prefetch meanwhile: a cache line every BRGEMM_AHEAD steps of a register tile, which hides more latency than
 * prefetching all at once, in the first `tiles` of the call's register tiles. Every BRGEMM_AHEAD tiles,
 * which bring `depth` lines a segment, begin `block` floats after those before began; or where they ended, if it is 0.
 * Into level 1, for the next call; with a_k above 1 or a roomy kernel into level 2, for what is many calls away. */
struct brgemm_ahead {
    const float *at; /* NULL with tiles = 0 */
    ptrdiff_t block;
    int tiles;
};

/* Strides in floats; a_k or a_row is 1. */
struct brgemm_shape {
    int rows;                 /* >= 0 */
    int vectors;              /* 1 .. brgemm_kernel.wide.vectors; the last block may be half a block */
    int depth;                /* k per segment, >= 0 */
    ptrdiff_t a_row, a_k;     /* A_s[i][k] = a[segment.a + i*a_row + k*a_k] */
    ptrdiff_t a_next, b_next; /* from A and B to those of the next call, to be prefetched; 0: as now */
    ptrdiff_t b_block;        /* block n of B_s[k] begins at b[segment.b + k*BRGEMM_BLOCK + n*b_block] */
    ptrdiff_t c_row, c_block; /* block n of C[i] begins at c[i*c_row + n*c_block] */
    bool accumulate;          /* C += instead of C = */
    struct brgemm_ahead ahead;
};

typedef void brgemm_fn(const struct brgemm_shape *shape, int segments, const struct brgemm_segment *segment,
                       const float *a, const float *b, float *c);

/* Its register tiles as users cut their work for: any smaller number of rows or vectors is right too. */
struct brgemm_tile {
    int rows, vectors; /* vectors: whole blocks */
};

/* A kernel and its block sizes travel together. */
struct brgemm_kernel {
    brgemm_fn *run;
    int vlen; /* floats per vector */
    bool
        roomy; /* has instructions to spare: prefetches the next A and B where a_k is 1 too, and then nothing else */
    struct brgemm_tile wide; /* the fastest */
    /* For C of few rows, and for A with a_k above 1. On AVX2 16 rows are 6 + 5 + 5 of 2
     * vectors; tiles of 3 x 4 leave two of 2 x 4, and the gradient lost a tenth (measured). */
    struct brgemm_tile tall;
};

/* The kernel for an instruction set. */
const struct brgemm_kernel *brgemm_kernel(enum isa isa);

#endif
