/* The supervisor and its workers, with implementations that misbehave in every way that must cost one point and no
 * more. This program is its own worker: study_run starts it again with --worker=. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the implementations ---- */

static const char *plan(struct conv_plan *plan)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    return NULL;
}

static const char *plan_crashes(struct conv_plan *p)
{
    (void)p;
    abort();
}

static const char *plan_huge(struct conv_plan *p)
{
    plan(p);
    p->scratch_bytes = (size_t)161e9 / 2 * 2000; /* 161 TB: more than any machine of today */
    return NULL;
}

static const char *plan_uncountable(struct conv_plan *p)
{
    plan(p);
    p->scratch_bytes = SIZE_MAX - 5;
    return NULL;
}

static const char *refuses(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem;
    (void)output;
    return "says no, with a comma";
}

static void right(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct conv_impl *reference = conv_impl_find("reference");
    reference->run(p, tensor, scratch);
}

static size_t last(const struct conv_plan *p)
{
    return conv_elements(&p->problem, p->output) - 1;
}

static void crashes(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    abort();
}

static void leaves(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    _exit(3);
}

static void hangs(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    for (;;)
        pause();
}

static void is_wrong(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][last(p)] += 1;
}

static void is_imprecise(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][0] *= 1.01F;
}

static void gives_nan(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][0] = 0.0F / tensor[p->output][0] * 0.0F + __builtin_nanf("1");
}

static void forgets_one(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    const float before = tensor[p->output][last(p)];
    right(p, tensor, scratch);
    tensor[p->output][last(p)] = before;
}

static void accumulates(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    const float before = tensor[p->output][0];
    right(p, tensor, scratch);
    if (before == before)
        tensor[p->output][0] += before;
}

static void writes_behind(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][last(p) + 1] = 0;
}

static void writes_before(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][-1] = 0;
}

static void writes_input(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output == CONV_SRC ? CONV_WEI : CONV_SRC][0] += 1;
}

static void sleeps(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    sleep(1);
}

/* Right in the first process that asks, wrong in one corner in any later one. */
static void spoils(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    char path[4096], text[32] = "";
    snprintf(path, sizeof path, "%s/first", getenv("TEST_DIRECTORY"));
    FILE *file = fopen(path, "a+");
    rewind(file);
    if (!fgets(text, sizeof text, file))
        fprintf(file, "%d", getpid());
    fclose(file);
    right(p, tensor, scratch);
    if (*text && atoi(text) != getpid())
        tensor[p->output][last(p)] += 1;
}

/* Touches new memory in every call. */
static void faults(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    enum { BYTES = 8 << 20 };
    right(p, tensor, scratch);
    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, BYTES);
    munmap(memory, BYTES);
}

#define BAD(NAME, RUN)                                                                                       \
    {                                                                                                        \
        .name = NAME, .family = "test", .summary = "", .source = "", .exact = true, .plan = plan, .run = RUN \
    }
static const struct conv_impl good = BAD("good", right), crash = BAD("crash", crashes),
                              leave = BAD("leave", leaves), hang = BAD("hang", hangs),
                              noisy = BAD("noisy", faults), wrong = BAD("wrong", is_wrong),
                              nans = BAD("nan", gives_nan), unwritten = BAD("unwritten", forgets_one),
                              dirty = BAD("dirty", accumulates), behind = BAD("behind", writes_behind),
                              before = BAD("before", writes_before), input = BAD("input", writes_input),
                              slow = BAD("slow", sleeps), also_good = BAD("also-good", right),
                              spoiled = BAD("spoiled", spoils);
static const struct conv_impl imprecise = {
    .name = "imprecise", .family = "test", .plan = plan, .run = is_imprecise};
static const struct conv_impl no = {
    .name = "no", .family = "test", .refuse = refuses, .plan = plan, .run = right};
static const struct conv_impl plan_crash = {
    .name = "plan-crash", .family = "test", .plan = plan_crashes, .run = right};
static const struct conv_impl huge = {.name = "huge", .family = "test", .plan = plan_huge, .run = right};
static const struct conv_impl uncountable = {
    .name = "uncountable", .family = "test", .plan = plan_uncountable, .run = right};

/* ---- the studies; argv[1] says which, to supervisor and worker alike ---- */

static const struct conv_impl *all[] = {&good,      &no,   &crash,       &plan_crash, &leave,  &wrong,
                                        &imprecise, &nans, &unwritten,   &dirty,      &behind, &before,
                                        &input,     &huge, &uncountable, &also_good};
static const struct conv_impl *two[] = {&good, &also_good}, *stuck[] = {&good, &hang, &also_good},
                              *noisy_one[] = {&noisy}, *cheap_and_dear[] = {&slow, &good},
                              *fresh_and_spoiled[] = {&good, &spoiled};
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
        {"leave", "CRASH", "exited with status 3"},
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
