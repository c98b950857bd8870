/* Noise: counters from fake trees, flags of series made here, the false alarms of the trend test, and a real competitor
 * on a real core. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "handoff.h"
#include "noise.h"
#include "random.h"
#include "stats.h"

#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A clean series: `samples` calls of 10 ms by two threads. */
static struct noise clean(int samples)
{
    return (struct noise){.time_s = 0.01 * samples, .clock_pct = 99, .drift_rho = 0.1, .drift_pct = 0.1};
}

static void expect(const struct noise *noise, int samples, const char *flags)
{
    char text[96];
    assert_string_equal(noise_flags(noise, samples, text, sizeof text), flags);
}

static void a_clean_series_has_no_flag(void **state)
{
    (void)state;
    for (int samples = 1; samples < 40; samples++) {
        struct noise noise = clean(samples);
        expect(&noise, samples, "");
        noise.drift_rho = noise.drift_pct = (double)NAN;
        expect(&noise, samples, "");
    }
}

/* Each kind at its limit and just beyond, in 30 samples of 10 ms (interval rank 10). */
static void limits(void **state)
{
    static const struct {
        enum noise_kind kind;
        double sum;
        int samples;
        const char *flags;
    } cases[] = {
        {NOISE_STEAL, 0.01, 1, ""}, /* a single tick may have begun before */
        {NOISE_STEAL, 0.02, 1, "steal"},
        {NOISE_THROTTLED, 0.0029, 30, ""},
        {NOISE_THROTTLED, 0.0031, 1, "throttled"},
        {NOISE_WAIT, 0.1, 9, ""}, /* nine slow calls of 30 cannot be an end of the interval */
        {NOISE_WAIT, 0.1, 10, "preempted"},
        {NOISE_SWITCHES, 1000, 30, ""}, /* what they cost is told by the waiting */
        {NOISE_MINOR_FAULTS, 1000, 9, ""},
        {NOISE_MINOR_FAULTS, 10, 10, "page-faults"},
        {NOISE_MAJOR_FAULTS, 10, 10, "disk"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct noise noise = clean(30);
        noise.sum[cases[i].kind] = cases[i].sum;
        noise.samples[cases[i].kind] = cases[i].samples;
        expect(&noise, 30, cases[i].flags);
    }
    struct noise noise = clean(3);
    noise.samples[NOISE_WAIT] = 1;
    expect(&noise, 3, "preempted"); /* below 6 calls each one counts */
    noise = clean(1000);
    noise.sum[NOISE_STEAL] = 0.09;
    expect(&noise, 1000, ""); /* of 10 s */
    noise.sum[NOISE_STEAL] = 0.11;
    expect(&noise, 1000, "steal");
}

/* A call is hit if it lost more than 1 % of its time. */
static void hits_are_relative_to_the_call(void **state)
{
    const double before[NOISE_KINDS] = {[NOISE_WAIT] = 5, [NOISE_MINOR_FAULTS] = 7, [NOISE_MAJOR_FAULTS] = 1};
    const double after[NOISE_KINDS] = {
        [NOISE_WAIT] = 5.001, [NOISE_MINOR_FAULTS] = 17, [NOISE_MAJOR_FAULTS] = 1};
    struct noise noise = {0};
    (void)state;
    noise_add(&noise, before, after, 0.11);
    assert_int_equal(noise.samples[NOISE_WAIT], 0);
    assert_int_equal(noise.samples[NOISE_MINOR_FAULTS], 1); /* 10 * 0.2 ms */
    noise_add(&noise, before, after, 0.09);
    assert_int_equal(noise.samples[NOISE_WAIT], 1);
    assert_int_equal(noise.samples[NOISE_MINOR_FAULTS], 2);
    assert_int_equal(noise.samples[NOISE_MAJOR_FAULTS], 0);
    assert_true(noise.sum[NOISE_MINOR_FAULTS] == 20 && fabs(noise.time_s - 0.2) < 1e-12);
}

static void several_flags_stand_side_by_side(void **state)
{
    struct noise noise = clean(30);
    (void)state;
    noise.sum[NOISE_STEAL] = 1;
    noise.clock_pct = 52;
    noise.drift_rho = -0.9;
    noise.drift_pct = -8;
    expect(&noise, 30, "steal slow-clock drift");
    noise.drift_pct = -0.8; /* certain, but small */
    expect(&noise, 30, "steal slow-clock");
    noise.moved = true;
    expect(&noise, 30, "steal slow-clock moved");
}

/* ---- drift ---- */

static void drift_of_known_series(void **state)
{
    double rising[20], equal[20], step[] = {1, 1, 1, 2, 2, 2};
    struct noise noise;
    (void)state;
    for (int i = 0; i < 20; i++) {
        rising[i] = 1 + 0.01 * i;
        equal[i] = 1;
    }
    noise_set_drift(&noise, rising, 20);
    assert_true(fabs(noise.drift_rho - 1) < 1e-12);
    assert_true(fabs(noise.drift_pct - 100 * (1.145 / 1.045 - 1)) < 1e-9);
    noise_set_drift(&noise, equal, 20);
    assert_true(isnan(noise.drift_rho) && noise.drift_pct == 0);
    noise_set_drift(&noise, step, 6);
    assert_true(fabs(noise.drift_rho - 13.5 / sqrt(17.5 * 13.5)) < 1e-12); /* scipy.stats.spearmanr: 0.8783 */
    assert_true(fabs(noise.drift_pct - 100) < 1e-9);
    noise_set_drift(&noise, rising, 2);
    assert_true(isnan(noise.drift_rho) && isnan(noise.drift_pct));
}

/* The promised rate: fewer than 1 in 1000 undisturbed series. 20000 series of each length; with 20 expected, 40 are 4.5
 * standard deviations away. The noise is skewed, as times are; ranks do not care. */
static void drift_is_rarely_a_false_alarm(void **state)
{
    uint64_t random = 1;
    (void)state;
    for (int n = 6; n <= 96; n *= 2) {
        int alarms = 0;
        for (int series = 0; series < 20000; series++) {
            double seconds[96];
            struct noise noise = {.clock_pct = 99};
            char text[96];
            for (int i = 0; i < n; i++)
                seconds[i] = 1 - log(1 - random_unit(&random));
            noise_set_drift(&noise, seconds, n);
            alarms += *noise_flags(&noise, n, text, sizeof text) != '\0';
        }
        assert_in_range(alarms, 0, 40);
    }
}

/* ---- moved ---- */

/* What a round's handoff is within a state, by quantiles 0, 0.001, 0.01, ... of what handoff.h tells of. */
static double handoff_within(bool far, double unknown, uint64_t *random)
{
    static const double share[] = {0, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1},
                        ns[2][11] = {{72, 76, 87, 93, 103, 110, 117, 126, 132, 146, 158},
                                     {322, 338, 359, 387, 425, 448, 466, 503, 822, 855, 957}};
    const double u = random_unit(random);
    int i = 1;
    while (u > share[i])
        i++;
    const double part = (u - share[i - 1]) / (share[i] - share[i - 1]);
    return random_unit(random) < unknown ? (double)NAN
                                         : ns[far][i - 1] + part * (ns[far][i] - ns[far][i - 1]);
}

/* Alarms of 20000 series of n rounds, `other` of which are in the other state. */
static int moves(int n, int other, bool far, double unknown)
{
    uint64_t random = 1;
    int alarms = 0;
    for (int series = 0; series < 20000; series++) {
        double ns[96];
        struct noise noise = clean(n);
        char text[96];
        for (int i = 0; i < n; i++)
            ns[i] = handoff_within(far ^ (i < other), unknown, &random);
        noise.moved = handoff_judge(ns, n).moved;
        alarms += strcmp(noise_flags(&noise, n, text, sizeof text), "moved") == 0;
    }
    return alarms;
}

/* Fewer than 1 in 1000 series within a state (40: as above), whichever it is, with all rounds known or as few as were on the
 * busy machine. Where half of the rounds are in the other state, 99 in 100 series are told and more. */
static void moved_is_rarely_a_false_alarm(void **state)
{
    (void)state;
    for (int n = 3; n <= 96; n *= 2)
        for (int far = 0; far <= 1; far++) {
            assert_in_range(moves(n, 0, far, 0), 0, 40);
            assert_in_range(moves(n, 0, far, 0.18), 0, 40);
            assert_in_range(moves(n, n / 2, far, 0), 19800, 20000);
        }
}

/* ---- counters ---- */

static void put(const char *root, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void steal_is_that_of_our_cpus(void **state)
{
    char root[] = "/tmp/test_noise.XXXXXX", path[256];
    const int pu[] = {3, 10};
    double counter[NOISE_KINDS];
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/proc", root);
    assert_int_equal(mkdir(path, 0777), 0);
    put(root, "proc/stat",
        "cpu  1 1 1 1 1 1 1 999 0 0\n"
        "cpu1 1 1 1 1 1 1 1 500 0 0\n"
        "cpu3 9 8 7 6 5 4 3 20 1 1\n"
        "cpu10 9 8 7 6 5 4 3 300 1 1\n"
        "intr 5 4\n");
    const struct noise_watch one = {root, pu, 1}, both = {root, pu, 2}, nothing = {"/dev/null", pu, 2};
    noise_read(&one, counter);
    assert_true(counter[NOISE_STEAL] == 20.0 / (double)sysconf(_SC_CLK_TCK));
    noise_read(&both, counter);
    assert_true(counter[NOISE_STEAL] == 320.0 / (double)sysconf(_SC_CLK_TCK));
    noise_read(&nothing, counter);
    assert_true(counter[NOISE_STEAL] == 0 && counter[NOISE_THROTTLED] == 0);
    snprintf(path, sizeof path, "%s/proc/stat", root);
    unlink(path);
    snprintf(path, sizeof path, "%s/proc", root);
    rmdir(path);
    rmdir(root);
}

static void spin(double seconds)
{
    const clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC); /* CPU time of this process */
    while (clock() < end)
        ;
}

/* Samples of 50 ms of work on one core, alone or with a competitor that the kernel must share it with. */
static struct noise samples_on_one_core(int samples, int cpu)
{
    struct noise noise = {.clock_pct = 100, .drift_rho = (double)NAN};
    const struct noise_watch watch = {"", &cpu, 1};
    for (int i = 0; i < samples; i++) {
        double before[NOISE_KINDS], after[NOISE_KINDS];
        noise_read(&watch, before);
        spin(0.05);
        noise_read(&watch, after);
        noise_add(&noise, before, after, 0.05);
    }
    return noise;
}

static void a_competitor_is_seen(void **state)
{
    cpu_set_t all, one;
    char text[96];
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    const pid_t competitor = fork();
    if (competitor == 0)
        for (;;)
            ;
    const struct noise noise = samples_on_one_core(5, cpu);
    kill(competitor, SIGKILL);
    waitpid(competitor, NULL, 0);
    sched_setaffinity(0, sizeof all, &all);
    assert_true(noise.samples[NOISE_WAIT] >= 1 && noise.sum[NOISE_SWITCHES] >= 1);
    assert_non_null(strstr(noise_flags(&noise, 5, text, sizeof text), "preempted"));
}

static void page_faults_are_seen(void **state)
{
    struct noise noise = clean(0);
    const int cpu = 0;
    const struct noise_watch watch = {"", &cpu, 1};
    (void)state;
    for (int i = 0; i < 6; i++) {
        double before[NOISE_KINDS], after[NOISE_KINDS];
        noise_read(&watch, before);
        char *memory = malloc(32 << 20); /* from the system each time: beyond any malloc threshold */
        for (size_t at = 0; at < 32 << 20; at += 4096)
            ((volatile char *)memory)[at] = 1;
        free(memory);
        noise_read(&watch, after);
        noise_add(&noise, before, after, 1e-3);
    }
    assert_int_equal(noise.samples[NOISE_MINOR_FAULTS], 6);
    char text[96];
    assert_non_null(strstr(noise_flags(&noise, 6, text, sizeof text), "page-faults"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_series_has_no_flag),    cmocka_unit_test(limits),
        cmocka_unit_test(hits_are_relative_to_the_call), cmocka_unit_test(several_flags_stand_side_by_side),
        cmocka_unit_test(drift_of_known_series),         cmocka_unit_test(drift_is_rarely_a_false_alarm),
        cmocka_unit_test(moved_is_rarely_a_false_alarm), cmocka_unit_test(steal_is_that_of_our_cpus),
        cmocka_unit_test(a_competitor_is_seen),          cmocka_unit_test(page_faults_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
