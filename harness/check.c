/* Comparing with the truth. Every comparison is written so that NaN fails. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double SHORT_S = 0.02; /* as long as a point is timed at the least (group.c) */

static const char *const tensor_names[RUNNER_TENSORS] = {"src", "wei", "dst", "beside"};

/* "mb0 oc3 0 7": where an output is. */
static char *place_text(const struct data *data, size_t index, char text[64])
{
    static const char *const axes[CONV_TENSORS][4] = {
        {"mb", "ic", "ih", "iw"}, {"oc", "ic", "kh", "kw"}, {"mb", "oc", "oh", "ow"}};
    int extent[4], at[4];
    conv_extents(&data->problem, data->output, extent);
    for (int axis = 3; axis >= 0; axis--) {
        at[axis] = (int)(index % (size_t)extent[axis]);
        index /= (size_t)extent[axis];
    }
    const char *const *axis = axes[data->output];
    snprintf(text, 64, "%s%d%s%d%s%d%s%d", axis[0], at[0], axis[1], at[1], axis[2], at[2], axis[3], at[3]);
    return text;
}

static bool fail(struct point *point, const char *reason)
{
    point_set_status(point, STATUS_FAIL, "%s", reason);
    return false;
}

void check_mend(const struct data *data, enum fill fill)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        buffer_canaries_restore(&data->plain[t]);
    data_fill(data, fill);
}

/* A call into the implementation, watched: it may write only what is its to write. */
enum call { CALL_IMPORT, CALL_RUN, CALL_EXPORT };

struct watch {
    enum call call;
    uint64_t plain[CONV_TENSORS], native[RUNNER_TENSORS];
};

static bool writes_plain(const struct runner *runner, enum call call, enum conv_tensor t)
{
    return call == CALL_RUN || (call == CALL_EXPORT && t == runner->data->output);
}

static bool writes_native(const struct runner *runner, enum call call, int t)
{
    return call == CALL_IMPORT || (call == CALL_RUN && runner_writes(runner, t));
}

/* Hashes of the tensors that the call must leave alone; of the plain ones only where import or export see them. */
static struct watch watch_begin(const struct runner *runner, enum call call)
{
    const int threads = runner->data->threads;
    struct watch watch = {.call = call};
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        watch.plain[t] = writes_plain(runner, call, t) ? 0 : buffer_hash(&runner->data->plain[t], threads);
    for (int t = 0; t < RUNNER_TENSORS; t++)
        watch.native[t] = writes_native(runner, call, t) ? 0 : buffer_hash(runner_buffer(runner, t), threads);
    return watch;
}

static bool watch_end(const struct watch *before, const struct runner *runner, enum fill fill,
                      struct point *point)
{
    static const char *const who[] = {"import", "run", "export"};
    const struct watch after = watch_begin(runner, before->call);
    const char *name = NULL;
    if (!runner_canaries_intact(runner)) {
        check_mend(runner->data, fill);
        return fail(point, "wrote outside its buffers");
    }
    for (int t = 0; t < RUNNER_TENSORS && !name; t++)
        if (after.native[t] != before->native[t] || (t < CONV_TENSORS && after.plain[t] != before->plain[t]))
            name = tensor_names[t];
    if (name) {
        check_mend(runner->data, fill);
        point_set_status(point, STATUS_FAIL, "%s changed its input %s", who[before->call], name);
    }
    return !name;
}

static bool import_watched(struct runner *runner, enum fill fill, struct point *point)
{
    const struct watch watch = watch_begin(runner, CALL_IMPORT);
    runner_import(runner);
    return watch_end(&watch, runner, fill, point);
}

static bool run_watched(struct runner *runner, enum fill fill, struct point *point)
{
    const struct watch watch = watch_begin(runner, CALL_RUN);
    runner_run(runner, 1);
    return watch_end(&watch, runner, fill, point);
}

/* Every word that a run is to write was written: none is the poison any more. */
static bool buffer_written(const struct buffer *buffer, const struct runner *runner, const char *what,
                           struct point *point)
{
    size_t first;
    const size_t poisoned = buffer_poisoned(buffer, runner->data->threads, &first);
    if (poisoned)
        point_set_status(point, STATUS_FAIL, "%sleft %zu of %zu outputs unwritten, first %zu", what, poisoned,
                         buffer->bytes / sizeof(float), first);
    return !poisoned;
}

static bool outputs_written(const struct runner *runner, struct point *point)
{
    bool written = true;
    for (int t = 0; t < RUNNER_TENSORS && written; t++)
        written = !runner_writes(runner, t) || buffer_written(runner_buffer(runner, t), runner, "", point);
    return written;
}

static void outputs_poison(const struct runner *runner)
{
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (runner_writes(runner, t))
            buffer_poison(runner_buffer(runner, t), POISON_NAN, runner->data->threads);
}

static uint64_t outputs_hash(const struct runner *runner)
{
    uint64_t hash = 0;
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (runner_writes(runner, t))
            hash = hash * 3 + buffer_hash(runner_buffer(runner, t), runner->data->threads);
    return hash;
}

/* Of what the passes read, in the first set. */
static uint64_t inputs_hash(const struct runner *runner)
{
    uint64_t hash = 0;
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (!runner_writes(runner, t))
            hash = hash * 3 + buffer_hash(runner_buffer(runner, t), runner->data->threads);
    return hash;
}

/* ---- comparing ---- */

/* The sums over a result on integers, or within `allowed`. */
static bool compare_sums(const struct runner *runner, const struct truth *truth, const float *result,
                         double allowed, struct point *point)
{
    const struct sums *sums = &truth->sums;
    struct sums_verdict verdict;
    if (!sums_compare(sums, runner->data, result, allowed, &verdict))
        return fail(point, "the system has no memory left to compare it");
    point->summed = fmax(point->summed, (double)sums->count * (double)sums->terms);
    if (verdict.wrong) {
        int n[4];
        conv_extents(&sums->problem, runner->data->output, n);
        const size_t rows = verdict.first / (size_t)n[3], row = rows % (size_t)n[2];
        point_set_status(point, STATUS_FAIL,
                         "%zu of %zu sums of %zu outputs differ, first that of group %zu at %zu %zu, by %.3g",
                         verdict.wrong, sums->count, sums->terms, rows / (size_t)n[2], row,
                         verdict.first % (size_t)n[3], verdict.off);
    }
    return !verdict.wrong;
}

static bool compare_exact(const struct runner *runner, const struct truth *truth, const float *result,
                          struct point *point)
{
    char place[64];
    const struct data *data = runner->data;
    const struct scale scale = truth_scale(truth, data, runner->impl);
    struct deviation deviation = truth_compare(truth, result, scale);
    if (!deviation.wrong && truth->witness_name) { /* outside the sample, does the oracle side with it? */
        deviation.first = truth_compare_witness(truth, data, result, scale).first;
        deviation.wrong = truth_error_at(data, deviation.first, result[deviation.first], scale) != 0;
    }
    if (deviation.wrong)
        point_set_status(point, STATUS_FAIL, "exact data: %zu of %zu compared outputs differ, first %s",
                         deviation.wrong, truth->count, place_text(data, deviation.first, place));
    const struct deviation bias = truth_compare_bias(truth, data, runner->tensor[RUNNER_BESIDE], scale);
    if (bias.wrong)
        point_set_status(point, STATUS_FAIL, "exact data: %zu gradients of the bias differ, first oc%zu",
                         bias.wrong, bias.first);
    return !deviation.wrong && !bias.wrong && compare_sums(runner, truth, result, 0, point);
}

/* Whether the errors are within the bound; the largest is *err. */
static bool compare_real(const struct runner *runner, const struct truth *truth, const float *result,
                         double *err, struct point *point)
{
    const struct data *data = runner->data;
    const struct scale scale = truth_scale(truth, data, runner->impl);
    const double bound = truth_bound(truth, data, runner->impl);
    *err = fmax(truth_compare(truth, result, scale).err,
                truth_compare_bias(truth, data, runner->tensor[RUNNER_BESIDE], scale).err);
    if (truth->witness_name) {
        const struct deviation deviation = truth_compare_witness(truth, data, result, scale);
        *err = fmax(*err, truth_error_at(data, deviation.first, result[deviation.first], scale));
        if (truth->fill == FILL_REAL)
            point->err_onednn = deviation.err;
    }
    if (!(*err <= bound)) {
        point_set_status(point, STATUS_FAIL, "%serror %.3g exceeds the tolerance %.3g",
                         truth->fill == FILL_TAPS ? "taps one at a time: " : "", *err, bound);
        return false;
    }
    /* Signs by chance: the sum of so many errors, none above the bound, is below 6 roots of the number but in one of 3e7
     * cases (Hoeffding), and most errors are far below the bound. */
    const double terms = (double)truth->sums.terms, layer = data->layer.bias;
    return compare_sums(runner, truth, result, 6 * sqrt(terms) * bound * (scale.none + layer), point);
}

/* A bound that is no number, or as good as none, is not believed. */
static bool bounds_are_sound(const struct runner *runner, struct point *point)
{
    const struct conv_problem *problem = &runner->data->problem;
    const double bounds[] = {conv_error_bound(runner->impl, problem, runner->data->output),
                             conv_tap_bound(runner->impl, problem, runner->data->output)};
    point->tolerance = bounds[0];
    for (int i = 0; i < 2; i++)
        if (!(bounds[i] <= CONV_BOUND_MOST)) {
            point_set_status(point, STATUS_FAIL,
                             "its %s_bound is %.3g: more than %g, which is as good as none",
                             i ? "tap" : "error", bounds[i], CONV_BOUND_MOST);
            return false;
        }
    return true;
}

/* NaN in some places of the native inputs while `export` runs: who computes there, and not in `run`, which is timed, shows
 * it. */
enum { HINTS = 4 };
struct hints {
    size_t place[CONV_TENSORS][HINTS];
    float value[CONV_TENSORS][HINTS];
};

static void hints_spoil(struct hints *hints, const struct runner *runner)
{
    uint64_t state = runner->data->seed;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        for (int i = 0; i < HINTS && t != runner->plan.output; i++) {
            const size_t place = random_next(&state) % (runner->plan.bytes[t] / sizeof(float));
            hints->place[t][i] = place;
            hints->value[t][i] = runner->tensor[t][place];
            runner->tensor[t][place] = (float)NAN;
        }
}

/* Backwards, because two may be in one place. */
static void hints_restore(const struct hints *hints, const struct runner *runner)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        for (int i = HINTS - 1; i >= 0 && t != runner->plan.output; i--)
            runner->tensor[t][hints->place[t][i]] = hints->value[t][i];
}

/* The result in its plain layout, into poison, without a look at the inputs; NULL: that failed. */
static const float *export_watched(struct runner *runner, enum fill fill, struct point *point)
{
    const struct buffer *plain = &runner->data->plain[runner->data->output];
    struct hints hints;
    if (!runner->impl->export)
        return runner_export(runner);
    buffer_poison(plain, POISON_NAN, runner->data->threads);
    const struct watch watch = watch_begin(runner, CALL_EXPORT);
    hints_spoil(&hints, runner);
    const float *result = runner_export(runner);
    hints_restore(&hints, runner);
    return watch_end(&watch, runner, fill, point) && buffer_written(plain, runner, "export ", point) ? result
                                                                                                     : NULL;
}

static bool compare(struct runner *runner, const struct truth *truth, struct point *point)
{
    double taps_err; /* no column: its bound is close to what is seen, and says all */
    const float *result = export_watched(runner, truth->fill, point);
    if (!result)
        return false;
    const size_t outputs = conv_elements(&runner->data->problem, runner->data->output);
    point->compared = fmax(point->compared, (double)(truth->witness_name ? outputs : truth->count));
    if (truth->fill == FILL_EXACT)
        return compare_exact(runner, truth, result, point);
    return compare_real(runner, truth, result, truth->fill == FILL_REAL ? &point->err_reference : &taps_err,
                        point);
}

bool check_runner(struct runner *runner, const struct truth *truth, struct point *point)
{
    const bool real = truth->fill == FILL_REAL;
    const bool exact = truth_is_exact(runner->data, runner->impl);
    if (!bounds_are_sound(runner, point))
        return false;
    if (*truth->note && !*point->reason)
        snprintf(point->reason, sizeof point->reason, "%s", truth->note);
    if (truth->fill == FILL_EXACT && !exact)
        return true;
    if (!import_watched(runner, truth->fill, point))
        return false;
    if (!real || !exact || truth->proof == PROOF_SAMPLE)
        outputs_poison(runner);
    if (!run_watched(runner, truth->fill, point) || !outputs_written(runner, point))
        return false;
    const uint64_t first = outputs_hash(runner);
    if (real && truth->proof == PROOF_FULL) {
        if (!run_watched(runner, truth->fill, point))
            return false;
        if (outputs_hash(runner) != first)
            return fail(point, "a second run on the same data gave other bits");
    }
    runner->outputs = first;
    runner->inputs = inputs_hash(runner);
    return compare(runner, truth, point);
}

/* The same inputs twice, into what was there and into NaN. */
static bool output_does_not_matter(struct runner *runner, uint64_t draw, struct point *point)
{
    uint64_t bits[2];
    for (int poisoned = 0; poisoned <= 1; poisoned++) {
        runner->set = 0;
        if (poisoned)
            outputs_poison(runner);
        runner_run_changing(runner, 1, draw);
        if (!outputs_written(runner, point))
            return false;
        bits[poisoned] = outputs_hash(runner);
    }
    return bits[0] == bits[1] || fail(point, "a result depends on what its output held before");
}

/* The run of the check, at another scale. */
static bool bits_of_the_check(struct runner *runner, struct point *point)
{
    runner->set = 0;
    runner_scale_inputs(runner, 1);
    const bool alone = run_watched(runner, FILL_REAL, point);
    runner_scale_inputs(runner, -1);
    if (!alone) {
        check_mend(runner->data, FILL_REAL); /* filled before they were scaled back */
        return false;
    }
    runner_scale_result(runner);
    return outputs_hash(runner) == runner->outputs || fail(point, "other bits than when it was checked");
}

/* Who looks at a part of the inputs only to see whether they are new may happen to see a change: so short calls, which
 * cost little, are asked three times. */
static bool again(struct runner *runner, struct point *point)
{
    const int draws = runner->last_s < SHORT_S ? 3 : 1;
    if (inputs_hash(runner) != runner->inputs)
        return fail(point, "an input has changed");
    for (int i = 0; i < draws; i++)
        if (!output_does_not_matter(runner, runner->data->seed + (uint64_t)i, point))
            return false;
    return bits_of_the_check(runner, point);
}

bool check_timed(struct runner *runner, struct point *point)
{
    char reason[sizeof point->reason];
    if (!runner_canaries_intact(runner))
        fail(point, "wrote outside its buffers");
    else if (again(runner, point))
        return true;
    memcpy(reason, point->reason, sizeof reason);
    point_set_status(point, STATUS_FAIL, "after the samples: %.200s", reason);
    return false;
}
