/* The supervisor and its workers, with implementations that misbehave in every way that must cost one point and no
 * more. This program is its own worker: study_run starts it again with --worker=. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "bad_impls.h"
#include "problem_string.h"
#include "supervise.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the studies; argv[1] says which, to supervisor and worker alike ---- */

static const struct conv_impl *all[] = {
    &bad_impl_good,      &bad_impl_no,    &bad_impl_crash,       &bad_impl_plan_crash,
    &bad_impl_leave,     &bad_impl_wrong, &bad_impl_imprecise,   &bad_impl_nans,
    &bad_impl_unwritten, &bad_impl_dirty, &bad_impl_behind,      &bad_impl_before,
    &bad_impl_input,     &bad_impl_huge,  &bad_impl_uncountable, &bad_impl_also_good};
static const struct conv_impl *two[] = {&bad_impl_good, &bad_impl_also_good},
                              *stuck[] = {&bad_impl_good, &bad_impl_hang, &bad_impl_also_good},
                              *noisy_one[] = {&bad_impl_noisy},
                              *cheap_and_dear[] = {&bad_impl_slow, &bad_impl_good},
                              *fresh_and_spoiled[] = {&bad_impl_good, &bad_impl_spoiled};
static struct layer layers[4];
static int threads[] = {1, 2};
static const char *directory; /* a new one for each test */

static struct study study_named(const char *name)
{
    char why[PROBLEM_STRING_MAX];
    for (int i = 0; i < 4; i++)
        assert_null(problem_string_parse("mb2ic3ih5oc4kh3ph1n\"a,b*2\"", &layers[i], why));
    struct study study = {.layers = layers,
                          .layer_count = 1,
                          .outputs = {CONV_DST, CONV_SRC, CONV_WEI},
                          .output_count = 3,
                          .impls = two,
                          .impl_count = 2,
                          .threads = threads,
                          .thread_count = 1,
                          .repetitions = 1,
                          .isa = isa_best(),
                          .samples = 9,
                          .max_time_s = 60,
                          .timeout_s = 60,
                          .lr = 0.01,
                          .memory_limit = (size_t)1 << 32,
                          .seed = 7,
                          .out = directory};
    if (!strcmp(name, "all")) {
        study.impls = all;
        study.impl_count = sizeof all / sizeof *all;
    } else if (!strcmp(name, "stuck") || !strcmp(name, "hung")) {
        study.impls = stuck;
        study.impl_count = 3;
        study.timeout_s = !strcmp(name, "stuck") ? 0 : 10; /* what everything else takes is milliseconds */
        study.output_count = 1;
    } else if (!strcmp(name, "repeated")) {
        study.thread_count = study.repetitions = 2;
        study.layer_count = 2;
    } else if (!strcmp(name, "noisy")) {
        study.impls = noisy_one;
        study.impl_count = study.output_count = 1;
        study.retry_noisy = 2;
    } else if (!strcmp(name, "spoiled")) {
        study.impls = fresh_and_spoiled;
        study.output_count = 1;
        study.repetitions = 3;
        study.samples = 1;
    } else if (!strcmp(name, "check")) {
        study.check_only = true;
    } else if (!strcmp(name, "phases")) {
        study.phases = true;
    } else if (!strcmp(name, "cold")) {
        study.cache = CACHE_COLD;
    } else if (!strcmp(name, "narrow")) {
        study.check_only = true;
        study.memory_limit = 60 << 20; /* either, but not both at once: each buffer takes 2 to 4 MiB */
    } else if (!strcmp(name, "poor")) {
        study.check_only = true;
        study.memory_limit = 1 << 20;
    } else if (!strcmp(name, "budget")) {
        study.impls = cheap_and_dear;
        study.output_count = 1;
        study.check_only = true; /* no ceilings to measure first */
        study.budget_s = 5;
    } else if (!strcmp(name, "spent")) {
        study.budget_s = 1e-6;
    }
    return study;
}

static int run(const char *name)
{
    char *argv[] = {(char *)"test_supervise", (char *)name, NULL};
    const struct study study = study_named(name);
    return study_run(&study, 2, argv);
}

/* The same, and what it says on stderr. */
static int run_heard(const char *name, char *said, size_t size)
{
    FILE *heard = tmpfile();
    const int keep = dup(STDERR_FILENO);
    assert_true(heard && dup2(fileno(heard), STDERR_FILENO) >= 0);
    const int status = run(name);
    dup2(keep, STDERR_FILENO);
    close(keep);
    rewind(heard);
    said[fread(said, 1, size - 1, heard)] = '\0';
    fclose(heard);
    return status;
}

/* ---- reading what was written ---- */

struct row {
    char *impl, *pass, *name, *threads, *rep, *status, *reason, *err_reference, *err_onednn, *n, *t_median_s,
        *t_sgd_s, *pinned, *flags, *attempt, *cache_sets, *native_bytes;
};

static char *file_text(const char *name)
{
    char path[4096];
    static char text[1 << 20];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Cuts the next field off *text, unquoted, in place. */
static char *next_field(char **text)
{
    char *in = *text, *out = in, *field = in;
    bool quoted = *in == '"';
    for (in += quoted; *in && (quoted || (*in != ',' && *in != '\n')); in++) {
        if (quoted && *in == '"' && *++in != '"')
            break;
        *out++ = *in;
    }
    *text = *in ? in + 1 : in;
    *out = '\0';
    return field;
}

static int read_rows(struct row *rows, int most)
{
    char *columns[80], *text = file_text("points.csv"), *header = text;
    int count = 0, column = 0;
    text = strchr(text, '\n') + 1;
    text[-1] = '\0';
    for (char *name = strtok(header, ","); name; name = strtok(NULL, ","))
        columns[column++] = name;
    for (; *text; count++) {
        assert_true(count < most);
        for (int i = 0; i < column; i++) {
            char *value = next_field(&text);
            const struct {
                const char *name;
                char **to;
            } wanted[] = {{"impl", &rows[count].impl},
                          {"pass", &rows[count].pass},
                          {"name", &rows[count].name},
                          {"threads", &rows[count].threads},
                          {"rep", &rows[count].rep},
                          {"status", &rows[count].status},
                          {"reason", &rows[count].reason},
                          {"err_reference", &rows[count].err_reference},
                          {"err_onednn", &rows[count].err_onednn},
                          {"n", &rows[count].n},
                          {"t_median_s", &rows[count].t_median_s},
                          {"t_sgd_s", &rows[count].t_sgd_s},
                          {"pinned", &rows[count].pinned},
                          {"flags", &rows[count].flags},
                          {"attempt", &rows[count].attempt},
                          {"cache_sets", &rows[count].cache_sets},
                          {"native_bytes", &rows[count].native_bytes}};
            for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++)
                if (!strcmp(columns[i], wanted[w].name))
                    *wanted[w].to = value;
        }
    }
    return count;
}

static bool machine_completed(void)
{
    json_t *root = json_loads(file_text("machine.json"), 0, NULL);
    assert_non_null(root);
    const bool completed = json_is_true(json_object_get(root, "completed"));
    json_decref(root);
    return completed;
}

/* ---- the tests ---- */

static int new_directory(void **state)
{
    static char text[64];
    (void)state;
    strcpy(text, "/tmp/test_supervise.XXXXXX");
    directory = mkdtemp(text);
    return directory && !setenv("TEST_DIRECTORY", directory, 1) ? 0 : -1;
}

static int remove_directory(void **state)
{
    static const char *const names[] = {"points.csv", "samples.csv", "machine.json", "phases.csv", "first"};
    char path[4096];
    (void)state;
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

static void each_bad_one_costs_its_point_only(void **state)
{
    static const struct {
        const char *impl, *status, *reason;
    } expected[] = {
        {"good", "OK", ""},
        {"also-good", "OK", ""},
        {"no", "SKIP", "says no, with a comma"},
        {"huge", "SKIP", "needs 161 TB, limit 4.3 GB"},
        {"uncountable", "SKIP", "needs "},
        {"crash", "CRASH", "Aborted"},
        {"plan-crash", "CRASH", "Aborted"},
        {"leave", "CRASH", "ended the process with status 3"},
        {"wrong", "FAIL", "exact data: 1 of "},
        {"imprecise", "FAIL", "exceeds the tolerance"},
        {"nan", "FAIL", "exact data: 1 of "},
        {"unwritten", "FAIL", "left 1 of "},
        {"dirty", "FAIL", "a second run on the same data gave other bits"},
        {"behind", "FAIL", "wrote outside its buffers"},
        {"before", "FAIL", "wrote outside its buffers"},
        {"input", "FAIL", "changed its input"},
    };
    enum { IMPLS = sizeof expected / sizeof *expected };
    struct row rows[3 * IMPLS];
    (void)state;
    static char said[1 << 16], line[128];
    assert_int_equal(run_heard("all", said, sizeof said), 1);
    assert_int_equal(read_rows(rows, 3 * IMPLS), 3 * IMPLS);
    for (int i = 0; i < 3 * IMPLS; i++)
        for (int e = 0; e < IMPLS; e++) {
            if (strcmp(rows[i].impl, expected[e].impl))
                continue;
            assert_string_equal(rows[i].status, expected[e].status);
            assert_non_null(strstr(rows[i].reason, expected[e].reason));
            assert_string_equal(rows[i].name, "a,b");
            const bool ok = !strcmp(expected[e].status, "OK");
            assert_string_equal(rows[i].n, ok ? "9" : "0");
            assert_true(!*rows[i].t_median_s == !ok);
            assert_true(!*rows[i].t_sgd_s == !(ok && !strcmp(rows[i].pass, "upd")));
        }
    for (int e = 0; e < IMPLS; e++) {
        int times = 0;
        for (int i = 0; i < 3 * IMPLS; i++)
            times += !strcmp(rows[i].impl, expected[e].impl);
        assert_int_equal(times, 3);
        snprintf(line, sizeof line, "%s: upd %s a,b (", expected[e].status, expected[e].impl);
        const bool failed = strcmp(expected[e].status, "OK") && strcmp(expected[e].status, "SKIP");
        assert_true(failed == (strstr(said, line) != NULL));
    }
    assert_true(machine_completed());
}

static void a_hang_ends(void **state)
{
    struct row rows[3];
    (void)state;
    assert_int_equal(run("hung"), 1);
    assert_int_equal(read_rows(rows, 3), 3);
    assert_string_equal(rows[0].impl, "hang"); /* the others finish afterwards, together */
    assert_string_equal(rows[0].status, "TIMEOUT");
    assert_string_equal(rows[0].reason, "no progress for 10 s");
    assert_string_equal(rows[1].status, "OK");
    assert_string_equal(rows[2].status, "OK");
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void every_repetition_and_thread_count(void **state)
{
    enum { ROWS = 2 * 2 * 2 * 3 * 2 };
    struct row rows[ROWS];
    (void)state;
    assert_int_equal(run("repeated"), 0);
    assert_int_equal(read_rows(rows, ROWS), ROWS);
    int seen[2][2] = {{0}};
    for (int i = 0; i < ROWS; i++) {
        assert_string_equal(rows[i].pinned, "1");
        seen[atoi(rows[i].rep)][atoi(rows[i].threads) - 1]++;
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i / 2][i % 2], ROWS / 4);
    assert_int_equal(lines(file_text("samples.csv")), 1 + 9 * ROWS);
}

static void what_is_noisy_is_measured_again(void **state)
{
    struct row rows[3];
    (void)state;
    assert_int_equal(run("noisy"), 0);
    assert_int_equal(read_rows(rows, 3), 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(rows[i].status, "OK");
        assert_non_null(strstr(rows[i].flags, "page-faults"));
        assert_int_equal(atoi(rows[i].attempt), i);
    }
    assert_int_equal(lines(file_text("samples.csv")), 1 + 3 * 9);
}

/* Each process proves its own results, though the later ones by a smaller sample: without a witness. */
static void later_processes_check_too(void **state)
{
    struct row rows[6];
    (void)state;
    assert_int_equal(run("spoiled"), 1);
    assert_int_equal(read_rows(rows, 6), 6);
    for (int i = 0; i < 6; i++) {
        const bool spoilt = atoi(rows[i].rep) && !strcmp(rows[i].impl, "spoiled");
        assert_string_equal(rows[i].status, spoilt ? "FAIL" : "OK");
        assert_int_equal(!*rows[i].err_onednn, atoi(rows[i].rep) > 0);
        assert_int_equal(!*rows[i].err_reference, 0);
    }
}

static void results_are_kept_unless_forced(void **state)
{
    struct study study = study_named("check");
    char *argv[] = {(char *)"test_supervise", (char *)"check", NULL};
    (void)state;
    assert_int_equal(study_run(&study, 2, argv), 0);
    assert_int_equal(study_run(&study, 2, argv), 2);
    assert_int_equal(lines(file_text("points.csv")), 7);
    study.force = true;
    assert_int_equal(study_run(&study, 2, argv), 0);
    assert_int_equal(lines(file_text("points.csv")), 7);
}

static void check_only_times_nothing(void **state)
{
    struct row rows[6];
    (void)state;
    assert_int_equal(run("check"), 0);
    assert_int_equal(read_rows(rows, 6), 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(rows[i].status, "OK");
        assert_string_equal(rows[i].n, "0");
        assert_string_equal(rows[i].t_median_s, "");
    }
}

static void all_ok(const char *name)
{
    struct row rows[6];
    assert_int_equal(run(name), 0);
    assert_int_equal(read_rows(rows, 6), 6);
    for (int i = 0; i < 6; i++)
        assert_string_equal(rows[i].status, "OK");
}

static void cold_caches(void **state)
{
    struct row rows[6];
    (void)state;
    all_ok("cold");
    json_t *machine = json_loads(file_text("machine.json"), 0, NULL);
    const double bytes =
        (double)json_integer_value(json_object_get(json_object_get(machine, "study"), "cold_sets_bytes"));
    json_decref(machine);
    assert_true(bytes > 0);
    read_rows(rows, 6);
    for (int i = 0; i < 6; i++) /* each tensor is padded by less than three lines */
        assert_true(atof(rows[i].cache_sets) * (atof(rows[i].native_bytes) + 3 * 3 * 64) > bytes);
}

/* What bears no marks is one phase; upd has the step too. */
static void profiles_are_kept_apart(void **state)
{
    (void)state;
    all_ok("phases");
    assert_int_equal(lines(file_text("phases.csv")), 1 + 2 * (3 + 1));
    assert_int_equal(lines(file_text("samples.csv")), 1 + 2 * 3 * 9);
}

static void one_at_a_time_where_memory_is_short(void **state)
{
    (void)state;
    all_ok("narrow");
}

static void memory_is_predicted(void **state)
{
    struct row rows[6];
    (void)state;
    assert_int_equal(run("poor"), 0);
    assert_int_equal(read_rows(rows, 6), 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(rows[i].status, "SKIP");
        assert_non_null(strstr(rows[i].reason, "limit 1.0 MB"));
    }
}

static void a_budget_skips_what_it_cannot_pay(void **state)
{
    struct row rows[6];
    (void)state;
    assert_int_equal(run("budget"), 0);
    assert_int_equal(read_rows(rows, 2), 2);
    assert_string_equal(rows[0].impl, "slow"); /* its pilot says so: it sleeps 1 s in each of 6 calls */
    assert_string_equal(rows[0].status, "SKIP");
    assert_non_null(strstr(rows[0].reason, "would take"));
}

static void a_spent_budget_still_leaves_every_row(void **state)
{
    struct row rows[6];
    (void)state;
    assert_int_equal(run("spent"), 0);
    assert_int_equal(read_rows(rows, 6), 6);
    for (int i = 0; i < 6; i++)
        assert_string_equal(rows[i].reason, "the budget is spent");
}

static void unwritable_output(void **state)
{
    struct study study = study_named("check");
    char *argv[] = {(char *)"test_supervise", (char *)"check", NULL};
    (void)state;
    study.out = "/dev/null/results";
    assert_int_equal(study_run(&study, 2, argv), 2);
    fflush(stdout);
    const int keep = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);
    dup2(full, STDOUT_FILENO);
    study.out = "-";
    const int status = study_run(&study, 2, argv);
    dup2(keep, STDOUT_FILENO);
    close(keep);
    close(full);
    assert_int_equal(status, 2);
}

/* SIGTERM while an implementation hangs: the rows so far stay, the worker dies with its supervisor. The pipe tells:
 * its writing end is closed when the last process that inherited it is gone. */
static void terminated(void **state)
{
    int alive[2], status;
    char byte;
    (void)state;
    assert_int_equal(pipe(alive), 0);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(run("stuck"));
    close(alive[1]);
    char path[4096];
    snprintf(path, sizeof path, "%s/machine.json", directory);
    while (access(path, F_OK))
        usleep(1000);
    sleep(1);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
    assert_int_equal(read(alive[0], &byte, 1), 0);
    close(alive[0]);
    assert_false(machine_completed());
    assert_true(lines(file_text("points.csv")) >= 1);
}

static void ceilings_of_each_thread_count(void **state)
{
    struct ceiling ceilings[2];
    struct study study = study_named("ceilings");
    char *argv[] = {(char *)"test_supervise", (char *)"ceilings", NULL};
    (void)state;
    study.thread_count = 2;
    assert_int_equal(study_ceilings(&study, 2, argv, ceilings), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ceilings[i].threads, i + 1);
        assert_true(ceilings[i].fma_flops[ISA_GENERIC] > 0 &&
                    ceilings[i].bps[ISA_GENERIC][LEVEL_L1][TRAFFIC_LOAD] > 0 &&
                    ceilings[i].bps[ISA_GENERIC][LEVEL_DRAM][TRAFFIC_TRIAD] > 0);
        assert_true((ceilings[i].fma_flops[ISA_AVX2] > 0) == isa_supported(ISA_AVX2));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, new_directory, remove_directory)
int main(int argc, char **argv)
{
    if (argc > 2 && !strncmp(argv[2], "--worker=", 9)) {
        struct study study = study_named(argv[1]);
        if (!strcmp(argv[1], "ceilings")) {
            study.layer_count = 0;
            study.thread_count = 2;
        }
        return study_work(&study, argv[2] + 9);
    }
    const struct CMUnitTest tests[] = {
        TEST(each_bad_one_costs_its_point_only),
        TEST(a_hang_ends),
        TEST(every_repetition_and_thread_count),
        TEST(what_is_noisy_is_measured_again),
        TEST(later_processes_check_too),
        TEST(results_are_kept_unless_forced),
        TEST(check_only_times_nothing),
        TEST(cold_caches),
        TEST(profiles_are_kept_apart),
        TEST(one_at_a_time_where_memory_is_short),
        TEST(memory_is_predicted),
        TEST(a_budget_skips_what_it_cannot_pay),
        TEST(a_spent_budget_still_leaves_every_row),
        TEST(unwritable_output),
        TEST(terminated),
        TEST(ceilings_of_each_thread_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
