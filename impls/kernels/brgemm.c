/* The kernels by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/brgemm.h"

ISA_DECLARE(const struct brgemm_kernel, brgemm_kernel);

const struct brgemm_kernel *brgemm_kernel(enum isa isa)
{
    static const struct brgemm_kernel *const kernels[ISAS] = ISA_TABLE(brgemm_kernel);
    return kernels[isa];
}
