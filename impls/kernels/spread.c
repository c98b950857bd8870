/* Spreading pixels among zeros, by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/spread.h"

ISA_DECLARE(const struct spread_kernel, spread_kernel);

const struct spread_kernel *spread_kernel(enum isa isa)
{
    static const struct spread_kernel *const kernels[ISAS] = ISA_TABLE(spread_kernel);
    return kernels[isa];
}
