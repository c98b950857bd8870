/* Implementations that misbehave, each in the way that its name says, and a few that do not, all around the reference. The
 * environment names TEST_DIRECTORY, where bad_impl_spoiled leaves word to later processes.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BAD_IMPLS_H
#define TRIPASS_BAD_IMPLS_H

#include "conv.h"

extern const struct conv_impl bad_impl_good, bad_impl_crash, bad_impl_leave, bad_impl_hang, bad_impl_noisy,
    bad_impl_wrong, bad_impl_nans, bad_impl_unwritten, bad_impl_dirty, bad_impl_behind, bad_impl_before,
    bad_impl_input, bad_impl_slow, bad_impl_also_good, bad_impl_spoiled, bad_impl_imprecise, bad_impl_no,
    bad_impl_plan_crash, bad_impl_huge, bad_impl_uncountable;

#endif
