/* The registry tells the truth: names are keys, descriptions are there, and what is not refused plans and runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <ctype.h>
#include <string.h>

static void test_names(void **state)
{
    (void)state;
    static const char *const families[] = {"reference", "direct", "explicit", "im2col", "winograd", "onednn"};
    for (int i = 0; conv_impls[i]; i++) {
        const struct conv_impl *impl = conv_impls[i];
        assert_true(islower((unsigned char)impl->name[0]));
        assert_int_equal(strspn(impl->name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(impl->name));
        assert_ptr_equal(conv_impl_find(impl->name), impl); /* so no earlier one has this name */
        assert_true(impl->summary && *impl->summary && !strchr(impl->summary, '\n'));
        assert_true(impl->source && *impl->source && !strchr(impl->source, '\n'));
        assert_true(impl->plan && impl->run);
        assert_true(!impl->import == !impl->export);
        bool known = false;
        for (size_t f = 0; f < sizeof families / sizeof *families; f++)
            known |= !strcmp(impl->family, families[f]);
        assert_true(known);
    }
    assert_null(conv_impl_find("no such implementation"));
    assert_null(conv_impl_find(""));
}

/* A reason is one line that lives as long as the program: asking for others in between does not change it. */
static void assert_reason(const struct trial *trial, const char *reason, const char *copy)
{
    if (!*reason || strchr(reason, '\n') || strcmp(reason, copy))
        trial_fail(trial, "gives no lasting reason: \"%s\"", reason);
}

static void test_refusals(void **state)
{
    const struct subject *s = *state;
    const int count = test_count(200);
    uint64_t random = test_seed();
    int ran = 0;
    char copy[256] = "";
    const char *last = NULL;
    struct trial refused = {.impl = s->impl};
    for (int i = 0; i < count; i++) {
        const struct trial trial = {.impl = s->impl,
                                    .problem = problem_random(&random),
                                    .output = s->output,
                                    .threads = 2,
                                    .isa = s->isa};
        const char *reason = s->impl->refuse ? s->impl->refuse(&trial.problem, trial.output) : NULL;
        if (reason) {
            strncpy(copy, reason, sizeof copy - 1);
            last = reason;
            refused = trial;
            continue;
        }
        struct rig rig;
        const char *failed = rig_open(&rig, &trial);
        if (failed && strcmp(failed, RIG_TOO_LARGE))
            trial_fail(&trial, "is not refused, but does not plan: %s", failed);
        if (failed)
            continue;
        assert_true(memchr(rig.plan.detail, 0, sizeof rig.plan.detail) && rig.plan.detail[0]);
        rig_close(&rig);
        ran++;
    }
    if (last)
        assert_reason(&refused, last, copy);
    subject_finish(s, ran, count);
}

int main(void)
{
    const struct CMUnitTest names[] = {cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(names, NULL, NULL) + run_over_registry("refusals", test_refusals, false);
}
