/* The depthwise kernels by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/depthwise.h"

ISA_DECLARE(const struct depthwise_kernel, depthwise_kernel);

const struct depthwise_kernel *depthwise_kernel(enum isa isa)
{
    static const struct depthwise_kernel *const kernels[ISAS] = ISA_TABLE(depthwise_kernel);
    return kernels[isa];
}
