/* The one BLAS function that implementations use, from OpenBLAS's OpenMP build: the other builds bring threads of
 * their own, which would compete with ours.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BLAS_H
#define TRIPASS_BLAS_H

#include <stdbool.h>
#include <stddef.h>

/* NULL if the loaded OpenBLAS is the OpenMP build and its integers hold `side`, the longest side or row stride of
 * a matrix; otherwise a static reason. */
const char *blas_refuses(size_t side);

/* A row-major operand; `stride` floats from a row in memory to the next. */
struct blas_matrix {
    const float *at;
    size_t stride;
    bool transposed; /* it is the transpose of what is in memory */
};

/* C[rows][cols] (+)= A[rows][depth] B[depth][cols] with `threads` threads. Call outside of parallel regions. */
struct blas_product {
    size_t rows, cols, depth;
    struct blas_matrix a, b;
    float *c;
    size_t c_stride;
    bool accumulate;
};
void blas_multiply(int threads, const struct blas_product *product);

#endif
