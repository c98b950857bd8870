/* im2col's runs of pixels stay in their plane: backward adds to all that a run covers, and other threads add to other
 * channels. SPDX-License-Identifier: Apache-2.0 */
#include "im2col/runs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void runs_stay_in_their_plane(const struct conv_problem *p)
{
    static struct strip strip;
    const size_t image = (size_t)p->ic * p->ih * p->iw, plane = (size_t)p->ih * p->iw;
    const int pixels = p->mb * p->oh * p->ow;
    for (int tap = 0; tap < p->kh * p->kw; tap++) {
        runs_find(p, 0, pixels < STRIP ? pixels : STRIP, tap, &strip);
        for (int i = 0; i < strip.runs; i++) {
            const size_t first = (size_t)strip.run[i].from, last = first + (size_t)strip.run[i].count - 1;
            assert_true(first % image < plane && last - first < plane && last % image < plane);
        }
    }
}

/* Two channels of 3 pixels and 6 output pixels: runs of neighboring images keep their distance, by chance. */
static void images_at_the_same_distance(void **state)
{
    const struct conv_problem p = {.g = 1,
                                   .mb = 8,
                                   .ic = 2,
                                   .ih = 3,
                                   .iw = 1,
                                   .oc = 31,
                                   .oh = 2,
                                   .ow = 3,
                                   .kh = 3,
                                   .kw = 3,
                                   .sh = 1,
                                   .sw = 1,
                                   .ph = 1,
                                   .pw = 2};
    (void)state;
    runs_stay_in_their_plane(&p);
}

static void usual_sizes(void **state)
{
    const struct conv_problem p = {.g = 1,
                                   .mb = 4,
                                   .ic = 3,
                                   .ih = 7,
                                   .iw = 7,
                                   .oc = 2,
                                   .oh = 7,
                                   .ow = 7,
                                   .kh = 3,
                                   .kw = 3,
                                   .sh = 1,
                                   .sw = 1,
                                   .ph = 1,
                                   .pw = 1};
    (void)state;
    runs_stay_in_their_plane(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(images_at_the_same_distance),
                                       cmocka_unit_test(usual_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
