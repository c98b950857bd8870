/* What is said of a busy machine before a study, and of its points after. SPDX-License-Identifier: Apache-2.0 */
#include "quiet.h"
#include "tally.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- before ---- */

static char root[] = "/tmp/tripass-quiet-XXXXXX";

static void write_proc(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/proc/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A /proc/stat that changes under the look: a child writes the second one. */
static struct quiet look_at(const char *before, const char *after)
{
    static const int pu[] = {0, 2};
    write_proc("stat", before);
    const pid_t child = fork();
    if (child == 0) {
        usleep(100000);
        write_proc("stat", after);
        _exit(0);
    }
    return quiet_look(root, pu, 2);
}

static void busy_by_whom(void **state)
{
    (void)state;
    char path[128];
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/proc", root);
    assert_int_equal(mkdir(path, 0777), 0);
    write_proc("loadavg", "3.25 1 1 1/100 1000\n");
    static const char none[] = "cpu 9 9 9 9 9 9 9 9\ncpu0 10 0 0 100 0 0 0 0\ncpu1 5 0 0 5 0 0 0 0\n"
                               "cpu2 10 0 0 100 0 0 0 0\n";
    /* CPU 1 is not ours; ours idle 50 ticks each, but for two */
    struct quiet quiet =
        look_at(none, "cpu0 11 0 0 149 0 0 0 0\ncpu1 99 0 0 5 0 0 0 0\ncpu2 10 1 0 149 0 0 0 0\n");
    assert_true(quiet_is(&quiet));
    assert_true(fabs(quiet.others - 0.02) < 1e-9 && quiet.stolen == 0 && quiet.load == 3.25);
    /* a process on CPU 2 */
    quiet = look_at(none, "cpu0 10 0 0 150 0 0 0 0\ncpu2 50 0 10 100 0 0 0 0\n");
    assert_false(quiet_is(&quiet));
    assert_true(fabs(quiet.others - 0.5) < 1e-9);
    /* the hypervisor took CPU 0 for a tenth of the time of both */
    quiet = look_at(none, "cpu0 10 0 0 140 0 0 0 10\ncpu2 10 0 0 150 0 0 0 0\n");
    assert_false(quiet_is(&quiet));
    assert_true(fabs(quiet.stolen - 0.1) < 1e-9);
    /* a system that does not tell */
    quiet = quiet_look("/dev/null", (const int[]){0}, 1);
    assert_true(quiet_is(&quiet));
    static const char *const made[] = {"/proc/stat", "/proc/loadavg", "/proc", ""};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s%s", root, made[i]);
        assert_int_equal(remove(path), 0);
    }
}

/* ---- after ---- */

static void flags_and_pairs(void **state)
{
    static const struct conv_impl a = {.name = "a"}, aa = {.name = "a:aa"}, b = {.name = "ab"};
    const struct conv_impl *impls[] = {&a, &b, &aa};
    struct study study = {.impls = impls, .impl_count = 3};
    struct tally tally;
    (void)state;
    assert_true(tally_open(&tally, &study));
    assert_true(isnan(tally_floor(&tally)));
    tally_add(&tally, 0, 0, 0, "preempted slow-clock", 1.0);
    tally_add(&tally, 0, 0, 1, "preempted", 7.0);
    tally_add(&tally, 0, 0, 2, "", 1.1);
    tally_add(&tally, 0, 1, 2, "", 2.0);              /* the pair's first comes later, or not at all */
    tally_add(&tally, 1, 1, 0, "", 4.0);              /* another process: no pair */
    tally_add(&tally, 1, 1, 1, "steal", (double)NAN); /* without a time */
    assert_int_equal(tally.points, 5);
    assert_int_equal(tally.flagged, 2);
    assert_string_equal(tally.flag[0].name, "preempted");
    assert_int_equal(tally.flag[0].count, 2);
    assert_string_equal(tally.flag[1].name, "slow-clock");
    assert_int_equal(tally.flag[1].count, 1);
    assert_int_equal(tally.flag[2].count, 0);
    assert_int_equal(tally.pairs, 1);
    assert_true(fabs(tally_floor(&tally) - 0.1) < 1e-9);
    for (int i = 0; i < 99; i++) {
        tally_add(&tally, 2, i, 0, "", 1.0);
        tally_add(&tally, 2, i, 2, "", i < 95 ? 1.01 : 0.5);
    }
    assert_int_equal(tally.pairs, 100);
    assert_true(tally_floor(&tally) < 0.2); /* five of a hundred are further apart */
    tally_close(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(busy_by_whom), cmocka_unit_test(flags_and_pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
