/* The transforms by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "winograd/transform.h"

typedef const struct winograd_kernel kernels_by_stride[2][WINOGRAD_PAIRS_MAX];
ISA_DECLARE(kernels_by_stride, winograd_kernels);

const struct winograd_kernel *winograd_kernel(enum isa isa, int stride, int pairs)
{
    static kernels_by_stride *const kernels[ISAS] = ISA_TABLE(winograd_kernels);
    return &(*kernels[isa])[stride - 1][pairs - 1];
}
