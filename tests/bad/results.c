/* Results that are wrong. SPDX-License-Identifier: Apache-2.0 */
#include "bad.h"

const char *bad_plan(struct conv_plan *plan)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    return NULL;
}

void bad_right(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    conv_impl_find("reference")->run(plan, tensor, scratch);
}

BAD(one_off, out[n / 2] += 1);
