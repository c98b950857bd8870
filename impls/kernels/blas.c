/* See blas.h. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/blas.h"

#include <cblas.h>
#include <limits.h>

const char *blas_refuses(size_t side)
{
    enum { OPENMP = 2 };
    if (openblas_get_parallel() != OPENMP)
        return "the loaded OpenBLAS is not its OpenMP build";
    return side > INT_MAX ? "a matrix side exceeds the integers of BLAS" : NULL;
}

static enum CBLAS_TRANSPOSE form(struct blas_matrix m)
{
    return m.transposed ? CblasTrans : CblasNoTrans;
}

void blas_multiply(int threads, const struct blas_product *p)
{
    openblas_set_num_threads(threads);
    cblas_sgemm(CblasRowMajor, form(p->a), form(p->b), (int)p->rows, (int)p->cols, (int)p->depth, 1, p->a.at,
                (int)p->a.stride, p->b.at, (int)p->b.stride, p->accumulate, p->c, (int)p->c_stride);
}
