/* The elementwise kernels by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

ISA_DECLARE(const struct elementwise_kernel, elementwise_kernel);

const struct elementwise_kernel *elementwise_kernel(enum isa isa)
{
    static const struct elementwise_kernel *const kernels[ISAS] = ISA_TABLE(elementwise_kernel);
    return kernels[isa];
}
