/* A layer around an implementation that does not fuse it: bias and activation in sweeps of their own over the native
 * dst, before or after the convolution. conv_run (conv.h) is its entry.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CONV_LAYER_H
#define TRIPASS_CONV_LAYER_H

#include "conv.h"

enum { LAYER_ALIGNMENT = 64 };

/* Scratch memory that the sweeps need behind that of the plan, in bytes. */
size_t layer_scratch_bytes(const struct conv_plan *plan);

#endif
