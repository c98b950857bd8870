/* The transforms by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "winograd/transform.h"

typedef const struct winograd_kernel kernels_by_pairs[WINOGRAD_PAIRS_MAX];
ISA_DECLARE(kernels_by_pairs, winograd_kernels);

const struct winograd_kernel *winograd_kernel(enum isa isa, int pairs)
{
    static const struct winograd_kernel *const kernels[ISAS] = ISA_TABLE(winograd_kernels);
    return &kernels[isa][pairs - 1];
}
