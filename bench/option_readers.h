/* Readers of option values, for the option table: each puts what it reads into the options, or is a usage_error.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_OPTION_READERS_H
#define TRIPASS_OPTION_READERS_H

#include "options.h"

/* Into rule->member, whatever the option. */
option_read_fn option_read_flag, option_read_text, option_read_number, option_read_count, option_read_time,
    option_read_seed, option_read_bytes, option_read_sizes;

/* Each for the option of its name. */
option_read_fn option_read_oc, option_read_threads, option_read_isa, option_read_numa, option_read_cache,
    option_read_batch, option_read_format, option_read_shard, option_read_activation, option_read_loss,
    option_read_impl, option_read_pass;

#endif
