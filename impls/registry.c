/* The one list of implementations. A line here is all that listing, checking, property tests, benchmarks and
 * plots need. SPDX-License-Identifier: Apache-2.0 */
#include "conv_layer.h"
#include "size.h"

#include <string.h>

extern const struct conv_impl reference_impl;
extern const struct conv_impl direct_impl;
extern const struct conv_impl explicit_dense_impl, explicit_csr_impl;
extern const struct conv_impl im2col_impl, im2col_blas_impl;
extern const struct conv_impl winograd_f2_impl, winograd_f4_impl, winograd_f6_impl;
extern const struct conv_impl onednn_impl, onednn_plain_impl, onednn_winograd_impl;

/* A header that declares more of them and lists them: tests/bad/bad.h. */
#ifdef MORE_IMPLS
#include MORE_IMPLS
#else
#define FIRST_IMPLS_LIST
#define MORE_IMPLS_LIST
#endif

/* One a line, so that additions merge. */
/* clang-format off */
const struct conv_impl *const conv_impls[] = {
    FIRST_IMPLS_LIST
    &reference_impl,
    &direct_impl,
    &explicit_dense_impl,
    &explicit_csr_impl,
    &im2col_impl,
    &im2col_blas_impl,
    &winograd_f2_impl,
    &winograd_f4_impl,
    &winograd_f6_impl,
    &onednn_impl,
    &onednn_plain_impl,
    &onednn_winograd_impl,
    MORE_IMPLS_LIST
    NULL,
};
/* clang-format on */

const struct conv_impl *conv_impl_find(const char *name)
{
    for (int i = 0; conv_impls[i]; i++)
        if (!strcmp(conv_impls[i]->name, name))
            return conv_impls[i];
    return NULL;
}

const char *conv_plan_make(const struct conv_impl *impl, struct conv_plan *plan)
{
    const char *reason = impl->refuse ? impl->refuse(&plan->problem, plan->output) : NULL;
    if (reason)
        return reason;
    memset(plan->bytes, 0, sizeof plan->bytes);
    plan->scratch_bytes = 0;
    memset(plan->detail, 0, sizeof plan->detail);
    plan->state = NULL;
    plan->dst_groups = plan->dst_block = 1;
    reason = impl->plan(plan);
    plan->detail[sizeof plan->detail - 1] = '\0';
    const size_t layer = reason || impl->run_layer ? 0 : layer_scratch_bytes(plan);
    if (layer)
        plan->scratch_bytes = size_add(size_round_up(plan->scratch_bytes, LAYER_ALIGNMENT),
                                       size_round_up(layer, LAYER_ALIGNMENT));
    return reason;
}

void conv_plan_destroy(const struct conv_impl *impl, struct conv_plan *plan)
{
    if (impl->destroy)
        impl->destroy(plan);
    plan->state = NULL;
}

double conv_error_bound(const struct conv_impl *impl, const struct conv_problem *problem,
                        enum conv_tensor output)
{
    return (impl->error_bound ? impl->error_bound : conv_rounding_bound)(problem, output);
}

double conv_tap_bound(const struct conv_impl *impl, const struct conv_problem *problem,
                      enum conv_tensor output)
{
    const struct conv_problem one = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    return impl->tap_bound ? impl->tap_bound(problem, output) : conv_rounding_bound(&one, output);
}
