/* Problems as text: benchdnn's one-line descriptors, as benchdnn and ONEDNN_VERBOSE print them.
 *
 *     mb8ic64ih56oc64oh56kh3ph1n"res2b*3"
 *     mb1_ic3oc64_ih224oh112kh7sh2dh0ph3_iw224ow112kw7sw2dw0pw3
 *
 * A token is a size's name (the members of struct conv_problem) and a decimal number; tokens come in any
 * order, `_` between them is ignored, and n takes the rest of the string: a name, optionally in double
 * quotes, whose ending *3 is the layer's multiplicity in its network. What is left out is deduced:
 *
 *     g = 1, mb = 2, sh = sw = 1, dh = dw = 0
 *     no w token at all: width is as height; no h token at all: one row (1D)
 *     oh missing: (ih - extent + 2*ph) / sh + 1, with ph = 0 if that is missing too
 *     ph missing: ((oh - 1)*sh - ih + extent) / 2          extent = (kh - 1)*(dh + 1) + 1, same for w
 *
 * The padding below and to the right follows from oh and ow. A string that is accepted means what it means to
 * benchdnn; where benchdnn would go on with a size of 0, a negative padding, a kernel that does not fit or a
 * token that it overrides, this is an error. Depth tokens (id od kd sd pd dd) may only say 1 (0 for pd dd).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PROBLEM_STRING_H
#define TRIPASS_PROBLEM_STRING_H

#include "study.h"

/* Room for any reason and for any printed problem. */
enum { PROBLEM_STRING_MAX = 256 };

/* Fills *layer from text. NULL, or why it cannot, naming the offending token (written to `why`); *layer is
 * undefined then. A layer that is returned is sound (conv_problem_unsound). */
const char *problem_string_parse(const char *text, struct layer *layer, char why[PROBLEM_STRING_MAX]);

/* The canonical string: like benchdnn's, but mb is always there. Parsing it gives the same problem. Returns
 * what snprintf does. */
int problem_string_print(const struct conv_problem *problem, char *text, size_t size);

/* The output size along one axis that follows from the others, for padding `pad` on both sides; less than 1 if
 * the kernel does not fit. */
int64_t problem_deduce_output(int in, int kernel, int stride, int pad, int dilation);

#endif
