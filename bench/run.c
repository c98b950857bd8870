/* tripass run and tripass check: a study from options, handed to the harness; or, with --dry-run, written down.
 * SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"
#include "layers.h"
#include "machine.h"
#include "memory.h"
#include "problem_string.h"
#include "record.h"
#include "supervise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* What the plan of a point says, as far as it comes. */
struct forecast {
    double native, scratch; /* bytes */
    const char *reason;     /* why it will be skipped, or NULL */
    char detail[64];        /* what would run, as the plan's */
};

static struct forecast forecast_point(const struct study *study, struct conv_plan *plan,
                                      const struct conv_impl *impl)
{
    double limit = (double)study->memory_limit, plain = 0;
    for (int t = 0; t < CONV_TENSORS; t++)
        plain += (double)conv_elements(&plan->problem, (enum conv_tensor)t) * sizeof(float);
    /* Some plans allocate: not where the tensors alone are too much. */
    if (plain > limit)
        return (struct forecast){.native = plain, .reason = "its tensors exceed the memory limit"};
    const char *reason = conv_plan_make(impl, plan);
    if (reason)
        return (struct forecast){.native = plain, .reason = reason};
    struct forecast forecast = {.native = (double)conv_beside_bytes(plan),
                                .scratch = (double)plan->scratch_bytes};
    memcpy(forecast.detail, plan->detail, sizeof forecast.detail);
    for (int t = 0; t < CONV_TENSORS; t++)
        forecast.native += (double)plan->bytes[t];
    if (forecast.native + forecast.scratch > limit)
        forecast.reason = "it exceeds the memory limit";
    conv_plan_destroy(impl, plan);
    return forecast;
}

static void print_forecast(const struct layer *layer, const struct conv_plan *plan,
                           const struct conv_impl *impl, const struct forecast *forecast)
{
    char text[PROBLEM_STRING_MAX];
    problem_string_print(&layer->problem, text, sizeof text);
    printf("%s,%s,%s,", impl->name, conv_pass_name(plan->output), text);
    csv_field(stdout, layer->name);
    printf(",%d,%d,%s,", layer->multiplicity, plan->threads, forecast->reason ? "SKIP" : "");
    csv_field(stdout, forecast->reason ? forecast->reason : "");
    printf(",%.0f,%.0f,%.0f,", conv_flop_nominal(&layer->problem), forecast->native, forecast->scratch);
    csv_field(stdout, forecast->detail);
    putchar('\n');
}

struct totals {
    int points, skips;
    double largest; /* bytes */
};

static void forecast_group(const struct study *study, const struct layer *layer, struct conv_plan *plan,
                           struct totals *totals)
{
    for (int i = 0; i < study->impl_count; i++) {
        struct forecast forecast = forecast_point(study, plan, study->impls[i]);
        print_forecast(layer, plan, study->impls[i], &forecast);
        totals->points++;
        totals->skips += forecast.reason != NULL;
        if (!forecast.reason && forecast.native + forecast.scratch > totals->largest)
            totals->largest = forecast.native + forecast.scratch;
    }
}

static void print_totals(const struct study *study, const struct totals *totals)
{
    char need[32], limit[32];
    double seconds = (double)(totals->points - totals->skips) * study->repetitions * study->max_time_s;
    if (study->budget_s > 0 && study->budget_s < seconds)
        seconds = study->budget_s;
    fprintf(stderr,
            "%d points, %d of them skipped, times %d repetition%s; the largest takes %s, the limit is %s\n",
            totals->points, totals->skips, study->repetitions, study->repetitions == 1 ? "" : "s",
            memory_text(totals->largest, need, sizeof need),
            memory_text((double)study->memory_limit, limit, sizeof limit));
    if (!study->check_only)
        fprintf(stderr, "the rounds take at most %.0f s; planning, filling and checking come on top\n",
                seconds);
}

static void dry_run(const struct study *study)
{
    struct totals totals = {0, 0, 0};
    printf("impl,pass,problem,name,mult,threads,status,reason,flop,native_bytes,scratch_bytes,detail\n");
    for (int t = 0; t < study->thread_count; t++)
        for (int l = 0; l < study->layer_count; l++)
            for (int o = 0; o < study->output_count; o++) {
                struct conv_plan plan = {.problem = study->layers[l].problem,
                                         .output = study->outputs[o],
                                         .threads = study->threads[t],
                                         .isa = study->isa,
                                         .layer = study->layer,
                                         .estimate = true};
                forecast_group(study, &study->layers[l], &plan, &totals);
            }
    print_totals(study, &totals);
}

/* A new directory, named by the second, with a number behind it if another study began in the same. Static. */
static const char *new_directory(void)
{
    static char name[64];
    const time_t seconds = time(NULL);
    const size_t length = strftime(name, sizeof name, "tripass-out/%Y%m%d-%H%M%S", localtime(&seconds));
    mkdir("tripass-out", 0777);
    for (int i = 2; mkdir(name, 0777) && errno == EEXIST; i++)
        snprintf(name + length, sizeof name - length, "-%d", i);
    return name; /* if it cannot be made, the study says so */
}

int command_run(struct options *options, int argc, char **argv)
{
    struct study *study = &options->study;
    if (!options->problem_count && !options->batch_count)
        usage_error("%s: no problem given; try tripass %s mb8ic64ih56oc64kh3ph1 or --batch=resnet50-v1.5",
                    argv[1], argv[1]);
    if (options->worker) /* it gets the layers from its supervisor: a file may have changed */
        return study_work(study, options->worker);
    struct layers layers = layers_select(options);
    study->layers = layers.layer;
    study->layer_count = layers.count;
    if (options->dry_run) {
        dry_run(study);
        return EXIT_ALL_GOOD;
    }
    if (study->resume && (!study->out || !strcmp(study->out, "-")))
        usage_error("--resume: no directory given; try -o DIR --resume");
    if (study->resume && study->force)
        usage_error("--resume --force: go on, or begin again; try one of them");
    if (!study->out)
        study->out = study->check_only ? "-" : new_directory();
    static const char *const kept[] = {"results", "results, some of them FAIL, CRASH or TIMEOUT,"};
    int status = study_run(study, argc, argv);
    if (status != EXIT_BAD_USAGE && strcmp(study->out, "-"))
        fprintf(stderr, "%s in %s\n", status <= EXIT_SOME_FAILED ? kept[status] : "what was finished",
                study->out);
    return status;
}
