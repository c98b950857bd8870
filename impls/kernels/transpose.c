/* Transposing whole blocks, by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/transpose.h"

ISA_DECLARE(transpose_fn, transpose_block);

transpose_fn *transpose_kernel(enum isa isa)
{
    static transpose_fn *const kernels[ISAS] = ISA_TABLE(transpose_block);
    return kernels[isa];
}
