/* The blocked native layouts that the direct and Winograd families share, after oneDNN's nChw16c and OIhw16i16o:
 * 16 channels of one pixel are one cache line, so every load is a full vector at any channel count and for every
 * instruction set. Channels that fill up the last block are zero. With cb(c) = ceil(c / 16):
 *
 *   src  [mb][g][cb(ic/g)][ih][iw][16]          dst  [mb][g][cb(oc/g)][oh][ow][16]
 *   wei  [g][cb(oc/g)][cb(ic/g)][kh][kw][16 ic][16 oc]
 *
 * Groups are padded one by one; for activations without groups (or to block channels across groups, as depthwise
 * convolution wants) pass a problem with g = 1.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_LAYOUT_H
#define TRIPASS_LAYOUT_H

#include "conv.h"

enum { LAYOUT_BLOCK = 16 };

/* Blocks that hold `channels`. */
static inline int layout_blocks(int channels)
{
    return (channels + LAYOUT_BLOCK - 1) / LAYOUT_BLOCK;
}

/* Size in bytes of a blocked tensor. */
size_t layout_bytes(const struct conv_problem *problem, enum conv_tensor tensor);

/* Plain to blocked and back, with plan->threads threads. They read plan->problem and plan->threads only and fit
 * struct conv_impl's import and export. */
void layout_import(const struct conv_plan *plan, enum conv_tensor tensor, const float *plain, float *blocked);
void layout_export(const struct conv_plan *plan, enum conv_tensor tensor, const float *blocked, float *plain);

#endif
