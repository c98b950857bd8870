/* Checking an implementation against the truth (truth.h). It is run up to four times:
 *
 *     exact data, output full of NaN        equal to the oracle bit for bit (implementations that claim it)
 *     taps,       output full of NaN        each output one product: a tap that is wrong by 1e-4 is beyond every tap_bound
 *     real data,  output full of old values errors relative to sum |a*b|
 *     real data,  again                     the same bits
 *
 * (scratch holds poison in the first, leftovers in the others) and looks each time whether every output was written, no
 * canary and no input has changed.
 *
 * What that guarantees: of an exact implementation, no output is wrong on integers by anything. Of all, no tap of all
 * channels is wrong by 1 + 1e-4 where the image has pixels enough (fill.h). A single weight that is wrong by so little
 * is seen as well if one of the outputs that show it is in the oracle's sample; otherwise, among the many products of an
 * output on real data, nobody can tell it from rounding.
 *
 * Of a plan that has passed all that in one process, a later one need not prove as much: it runs once, on real data, into
 * an output full of NaN, and is held against the oracle on a smaller sample of its own, and against sums over as many
 * outputs as are cheap (PROOF_SAMPLE).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_CHECK_H
#define TRIPASS_CHECK_H

#include "truth.h"

/* How often an implementation is run at the most, check_timed included. */
enum { CHECK_CALLS = 7, CHECK_SAMPLE_CALLS = 4 };

/* Checks a runner on data that are filled with truth->fill, and fills in point's errors, status and reason.
 * Returns false if it failed. */
bool check_runner(struct runner *runner, const struct truth *truth, struct point *point);

/* Fills data again and restores the canaries of its tensors, which all implementations share. */
void check_mend(const struct data *data, enum fill fill);

/* Checks that what was timed is what was checked. The inputs changed before every timed call; now they are whole again.
 * Three more runs (of short calls the first two three times): on changed inputs into what the last call left, then into NaN, which must give the same bits, so that
 * who computes only where the output was cleared shows; and on the data of the check times powers of two, which must give
 * its bits times powers of two, so that who keeps a result or an input shows, and who goes wrong after some calls. No canary
 * and no input may have changed. Returns false if it
 * failed; the reason then begins with "after the samples". */
bool check_timed(struct runner *runner, struct point *point);

#endif
