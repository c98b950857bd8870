/* Comparing with the truth. Every comparison is written so that NaN fails. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

/* A run, watched. */
static bool run_leaves_the_rest_alone(struct runner *runner, enum fill fill, struct point *point)
{
    const struct data *data = runner->data;
    uint64_t before[RUNNER_TENSORS];
    for (int t = 0; t < RUNNER_TENSORS; t++)
        before[t] = buffer_hash(runner_buffer(runner, t), data->threads);
    runner_run(runner, 1);
    if (!runner_canaries_intact(runner))
        return fail(point, "wrote outside its buffers");
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (!runner_writes(runner, t) && buffer_hash(runner_buffer(runner, t), data->threads) != before[t]) {
            data_fill(data, fill); /* others may share it */
            point_set_status(point, STATUS_FAIL, "changed its input %s", tensor_names[t]);
            return false;
        }
    return true;
}

/* Every word that a run is to write was written: none is the poison any more. */
static bool tensor_written(const struct runner *runner, int tensor, struct point *point)
{
    const struct buffer *buffer = runner_buffer(runner, tensor);
    const uint32_t *word = buffer->data;
    const size_t words = buffer->bytes / sizeof *word;
    size_t poisoned = 0, first = words;
#pragma omp parallel for num_threads(runner->data->threads) reduction(+ : poisoned) reduction(min : first)
    for (size_t i = 0; i < words; i++)
        if (word[i] == UINT32_MAX) {
            poisoned++;
            first = first < i ? first : i;
        }
    if (poisoned)
        point_set_status(point, STATUS_FAIL, "left %zu of %zu native outputs unwritten, first %zu", poisoned,
                         words, first);
    return !poisoned;
}

static bool outputs_written(const struct runner *runner, struct point *point)
{
    bool written = true;
    for (int t = 0; t < RUNNER_TENSORS && written; t++)
        written = !runner_writes(runner, t) || tensor_written(runner, t, point);
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

static bool compare(struct runner *runner, const struct truth *truth, struct point *point)
{
    double taps_err; /* no column: its bound is close to what is seen, and says all */
    const float *result = runner_export(runner);
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
    runner_import(runner);
    if (!real || !exact || truth->proof == PROOF_SAMPLE)
        outputs_poison(runner);
    if (!run_leaves_the_rest_alone(runner, truth->fill, point) || !outputs_written(runner, point))
        return false;
    if (real && truth->proof == PROOF_FULL) {
        const uint64_t first = outputs_hash(runner);
        if (!run_leaves_the_rest_alone(runner, truth->fill, point))
            return false;
        if (outputs_hash(runner) != first)
            return fail(point, "a second run on the same data gave other bits");
    }
    return compare(runner, truth, point);
}
