/* What must hold without an oracle, because a pass is a gradient of one trilinear form T(src, wei, dst): the three
 * passes agree on T; each is linear in both inputs; an impulse shows the other input; shifting in shifts out; a finite
 * difference of T is the gradient, exactly; backward is the forward pass with the weights turned, and the weight
 * gradient the forward pass of a large convolution. Funda Ergun, "Testing multivariate linear functions", STOC 1995.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <math.h>
#include <string.h>

/* Integer sums in these tests stay below 2^24 with terms up to this many times those of a plain pass. */
enum { SLACK = 32, EXAMPLES = 30 };

static struct trial with_output(const struct trial *trial, enum conv_tensor output)
{
    struct trial other = *trial;
    other.output = output;
    return other;
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* sum |src * wei * dst| over all valid taps. */
static double form_magnitude(const struct conv_problem *problem, float *const plain[CONV_TENSORS])
{
    struct conv_element *sums = truth_of(problem, CONV_WEI, plain);
    double total = 0;
    for (size_t i = 0; i < conv_elements(problem, CONV_WEI); i++)
        total += sums[i].magnitude * fabs((double)plain[CONV_WEI][i]);
    return total;
}

/* T by one pass: the dot product of its result and the tensor it would replace. */
static bool form(const struct trial *trial, float *const plain[CONV_TENSORS], double *value)
{
    const size_t n = conv_elements(&trial->problem, trial->output);
    float *result = take(n * sizeof *result);
    bool ran = trial_run(trial, plain, result);
    if (ran)
        *value = dot(result, plain[trial->output], n);
    return ran;
}

/* <dst, fwd> = <src, bwd> = <wei, upd>: this pass against the next. */
static bool check_trilinear(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    const struct trial next = with_output(trial, (trial->output + 1) % CONV_TENSORS);
    double here, there;
    if (!form(trial, plain, &here) || !form(&next, plain, &there))
        return false;
    const double bound = trial_bound(trial) + trial_bound(&next),
                 allowed = trial->exact ? 0 : bound * form_magnitude(&trial->problem, plain);
    if (!(fabs(here - there) <= allowed))
        trial_fail(trial, "T is %.9g by this pass, %.9g by %s", here, there, conv_pass_name(next.output));
    return true;
}

/* The pass of 2a - 3b is 2 (pass of a) - 3 (pass of b), where a and b stand for one of its inputs. */
static bool check_linear_in(const struct trial *trial, float *const plain[CONV_TENSORS],
                            enum conv_tensor input)
{
    const struct conv_problem *p = &trial->problem;
    const size_t n = conv_elements(p, input), outputs = conv_elements(p, trial->output);
    float *a[CONV_TENSORS], *b[CONV_TENSORS], *sum[CONV_TENSORS];
    float *of_a = take(outputs * sizeof *of_a), *of_b = take(outputs * sizeof *of_b),
          *of_sum = take(outputs * sizeof *of_sum);
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        a[t] = b[t] = sum[t] = plain[t];
    b[input] = take(n * sizeof(float));
    sum[input] = take(n * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        b[input][i] = a[input][(i * 7 + 3) % n];
        sum[input][i] = 2 * a[input][i] - 3 * b[input][i];
    }
    bool ran = trial_run(trial, a, of_a) && trial_run(trial, b, of_b) && trial_run(trial, sum, of_sum);
    if (ran) {
        struct conv_element *expected = truth_of(p, trial->output, a),
                            *of_b_magnitude = truth_of(p, trial->output, b);
        for (size_t i = 0; i < outputs; i++) {
            expected[i].value = 2 * (double)of_a[i] - 3 * (double)of_b[i];
            expected[i].magnitude = 2 * (2 * expected[i].magnitude + 3 * of_b_magnitude[i].magnitude);
        }
        assert_agrees(trial, of_sum, expected);
    }
    return ran;
}

static bool check_bilinear(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    return check_linear_in(trial, plain, (trial->output + 1) % CONV_TENSORS) &&
           check_linear_in(trial, plain, (trial->output + 2) % CONV_TENSORS);
}

/* ---- impulse ---- */

/* One valid tap: an element of each tensor. */
typedef void tap_fn(const size_t at[CONV_TENSORS], void *context);

static void for_each_tap_of(const struct conv_problem *p, int mb, int oc, int i, tap_fn *visit, void *context)
{
    const int icg = p->ic / p->g, ic = oc / (p->oc / p->g) * icg + i;
    for (int oh = 0; oh < p->oh; oh++)
        for (int kh = 0; kh < p->kh; kh++)
            for (int ow = 0; ow < p->ow; ow++)
                for (int kw = 0; kw < p->kw; kw++) {
                    const int ih = oh * p->sh - p->ph + kh * (p->dh + 1),
                              iw = ow * p->sw - p->pw + kw * (p->dw + 1);
                    const size_t at[CONV_TENSORS] = {
                        (((size_t)mb * p->ic + ic) * p->ih + ih) * p->iw + iw,
                        (((size_t)oc * icg + i) * p->kh + kh) * p->kw + kw,
                        (((size_t)mb * p->oc + oc) * p->oh + oh) * p->ow + ow,
                    };
                    if (ih >= 0 && ih < p->ih && iw >= 0 && iw < p->iw)
                        visit(at, context);
                }
}

static void for_each_tap(const struct conv_problem *p, tap_fn *visit, void *context)
{
    for (int mb = 0; mb < p->mb; mb++)
        for (int oc = 0; oc < p->oc; oc++)
            for (int i = 0; i < p->ic / p->g; i++)
                for_each_tap_of(p, mb, oc, i, visit, context);
}

/* An impulse of one input as seen through the other. */
struct impulse {
    enum conv_tensor output, input, other;
    size_t where;
    const float *seen;
    struct conv_element *expected;
};

static void show(const size_t at[CONV_TENSORS], void *context)
{
    const struct impulse *impulse = context;
    if (at[impulse->input] == impulse->where)
        impulse->expected[at[impulse->output]].value += (double)impulse->seen[at[impulse->other]];
}

/* A one in one place of `input`, zero elsewhere: the output is the other input, moved (and turned, in backward). Bounds are
 * for data of one magnitude: products are rounded together with the large neighbors that share a transform or a sum with
 * them. An impulse has no such neighbors, so it is off by no more than ones everywhere would be, in proportion to the sum
 * that those have; the single product that is left of this sum is no measure. */
static bool check_impulse_in(const struct trial *trial, float *const plain[CONV_TENSORS],
                             enum conv_tensor input)
{
    const struct conv_problem *p = &trial->problem;
    const size_t n = conv_elements(p, input), outputs = conv_elements(p, trial->output);
    struct impulse impulse = {.output = trial->output,
                              .input = input,
                              .other = (enum conv_tensor)(CONV_TENSORS - input - trial->output),
                              .where = n * 5 / 7};
    float *tensors[CONV_TENSORS] = {plain[0], plain[1], plain[2]}, *result = take(outputs * sizeof *result);
    tensors[input] = take(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        tensors[input][i] = 1;
    impulse.seen = plain[impulse.other];
    impulse.expected = truth_of(p, trial->output, tensors);
    for (size_t i = 0; i < outputs; i++)
        impulse.expected[i].value = 0;
    memset(tensors[input], 0, n * sizeof(float));
    tensors[input][impulse.where] = 1;
    if (!trial_run(trial, tensors, result))
        return false;
    for_each_tap(p, show, &impulse);
    assert_agrees(trial, result, impulse.expected);
    return true;
}

static bool check_impulse(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    return check_impulse_in(trial, plain, (trial->output + 1) % CONV_TENSORS) &&
           check_impulse_in(trial, plain, (trial->output + 2) % CONV_TENSORS);
}

/* ---- shift ---- */

struct plane {
    int h, w;
};

/* out(y, x) = in(y - by.h, x - by.w), zero where that is outside; also when `by` is negative. */
static float *shifted(const float *in, size_t elements, struct plane size, struct plane by)
{
    float *out = take(elements * sizeof *out);
    for (size_t i = 0; i < elements; i++) {
        const int y = (int)(i / (size_t)size.w % (size_t)size.h) - by.h, x = (int)(i % (size_t)size.w) - by.w;
        const bool inside = y >= 0 && y < size.h && x >= 0 && x < size.w;
        out[i] = inside ? in[(ptrdiff_t)i - (ptrdiff_t)by.h * size.w - by.w] : 0;
    }
    return out;
}

/* Shifting dst by a pixel and src by a stride leaves the weights' gradient, and shifts the other two passes, when
 * nothing is lost at the far border. */
static bool check_shift(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    const struct conv_problem *p = &trial->problem;
    const struct plane size[CONV_TENSORS] = {{p->ih, p->iw}, {p->kh, p->kw}, {p->oh, p->ow}};
    const int dy = p->oh > 1 && p->ih > p->sh, dx = p->ow > 1 && p->iw > p->sw;
    const struct plane by[CONV_TENSORS] = {{dy * p->sh, dx * p->sw}, {0, 0}, {dy, dx}};
    const size_t outputs = conv_elements(p, trial->output);
    float *near[CONV_TENSORS], *far[CONV_TENSORS];
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const size_t n = conv_elements(p, t);
        far[t] = shifted(plain[t], n, size[t], by[t]);
        near[t] = shifted(far[t], n, size[t], (struct plane){-by[t].h, -by[t].w});
    }
    float *of_near = take(outputs * sizeof *of_near), *of_far = take(outputs * sizeof *of_far);
    if (!(dy || dx) || !trial_run(trial, near, of_near) || !trial_run(trial, far, of_far))
        return false;
    const struct plane out = size[trial->output], moved = by[trial->output];
    const float *expected = shifted(of_near, outputs, out, moved);
    struct conv_element *truth = truth_of(p, trial->output, far);
    for (size_t i = 0; i < outputs; i++) {
        const int y = (int)(i / (size_t)out.w % (size_t)out.h), x = (int)(i % (size_t)out.w);
        truth[i].magnitude *= 2;
        truth[i].value = (double)(y >= moved.h && x >= moved.w ? expected[i] : of_far[i]);
    }
    assert_agrees(trial, of_far, truth);
    return true;
}

/* ---- finite differences ---- */

/* T(x + e) - T(x), by a pass that reads x, is the gradient with respect to x: exactly, since T is linear in x. */
static bool check_difference(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    const struct trial reader = with_output(trial, (trial->output + 1) % CONV_TENSORS);
    const size_t n = conv_elements(&trial->problem, trial->output);
    float *gradient = take(n * sizeof *gradient);
    double before, after = NAN;
    if (!trial->exact || !trial_run(trial, plain, gradient) || !form(&reader, plain, &before))
        return false;
    const size_t places[] = {0, n / 2, n - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        float *x = &plain[trial->output][places[i]];
        *x += 1;
        form(&reader, plain, &after);
        *x -= 1;
        if (!(after - before == (double)gradient[places[i]]))
            trial_fail(trial, "gradient %zu is %.9g, the finite difference %.9g", places[i],
                       (double)gradient[places[i]], after - before);
    }
    return true;
}

/* ---- one pass by another ---- */

/* [a][b][inner] to [b][a][inner] */
static float *transposed(const float *in, int a, int b, size_t inner)
{
    float *out = take((size_t)a * b * inner * sizeof *out);
    for (int i = 0; i < a; i++)
        for (int j = 0; j < b; j++)
            memcpy(out + ((size_t)j * a + i) * inner, in + ((size_t)i * b + j) * inner, inner * sizeof *out);
    return out;
}

/* Fails unless `result`, computed another way, is what this pass gives; both may be off by the bound. */
static bool check_same(const struct trial *trial, float *const plain[CONV_TENSORS], const float *result)
{
    const size_t n = conv_elements(&trial->problem, trial->output);
    float *direct = take(n * sizeof *direct);
    struct conv_element *truth = truth_of(&trial->problem, trial->output, plain);
    if (!trial_run(trial, plain, direct))
        return false;
    for (size_t i = 0; i < n; i++)
        truth[i] = (struct conv_element){(double)direct[i], 2 * truth[i].magnitude};
    assert_agrees(trial, result, truth);
    return true;
}

/* Stride 1: backward is the forward pass, and forward the backward pass, of the problem with src and dst exchanged, the
 * weights turned by 180 degrees and transposed in their channels, and what is left of the kernel as padding. */
static bool check_turned(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    const struct conv_problem *p = &trial->problem;
    struct trial other = with_output(trial, trial->output == CONV_SRC ? CONV_DST : CONV_SRC);
    const int ph = (p->kh - 1) * (p->dh + 1) - p->ph, pw = (p->kw - 1) * (p->dw + 1) - p->pw;
    if (trial->output == CONV_WEI || p->sh > 1 || p->sw > 1 || ph < 0 || pw < 0)
        return false;
    other.problem = (struct conv_problem){p->g,  p->mb, p->oc, p->oh, p->ow, p->ic, p->ih, p->iw,
                                          p->kh, p->kw, 1,     1,     ph,    pw,    p->dh, p->dw};
    const int icg = p->ic / p->g, ocg = p->oc / p->g;
    const size_t taps = (size_t)p->kh * p->kw, group = taps * icg * ocg;
    float *weights = take(group * p->g * sizeof *weights), *result;
    for (int g = 0; g < p->g; g++) {
        const float *swapped = transposed(plain[CONV_WEI] + g * group, ocg, icg, taps);
        for (size_t i = 0; i < group; i++)
            weights[g * group + i] = swapped[i / taps * taps + (taps - 1 - i % taps)];
    }
    float *exchanged[CONV_TENSORS] = {plain[CONV_DST], weights, plain[CONV_SRC]};
    result = take(conv_elements(p, trial->output) * sizeof *result);
    return trial_run(&other, exchanged, result) && check_same(trial, plain, result);
}

/* The weight gradient is the forward pass of a large convolution: images are channels and channels images, dst is the
 * kernel, stride and dilation change places. By the reference where the implementation does not take that. */
static bool check_large(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    const struct conv_problem *p = &trial->problem;
    struct trial other = with_output(trial, CONV_DST);
    if (trial->output != CONV_WEI || p->g > 1)
        return false;
    other.problem =
        (struct conv_problem){1,     p->ic, p->mb,     p->ih,     p->iw, p->oc, p->kh,     p->kw,
                              p->oh, p->ow, p->dh + 1, p->dw + 1, p->ph, p->pw, p->sh - 1, p->sw - 1};
    float *large[CONV_TENSORS] = {
        transposed(plain[CONV_SRC], p->mb, p->ic, (size_t)p->ih * p->iw),
        transposed(plain[CONV_DST], p->mb, p->oc, (size_t)p->oh * p->ow),
        NULL,
    };
    float *result = take(conv_elements(p, CONV_WEI) * sizeof *result);
    if (!trial_run(&other, large, result)) {
        other.impl = conv_impl_find("reference");
        trial_run(&other, large, result);
    }
    return check_same(trial, plain, transposed(result, p->ic, p->oc, (size_t)p->kh * p->kw));
}

static bool check_by_another(const struct trial *trial, float *const plain[CONV_TENSORS])
{
    return trial->output == CONV_WEI ? check_large(trial, plain) : check_turned(trial, plain);
}

/* ---- */

#define PROPERTY(name)                                                                                       \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        subject_check(*state, check_##name, EXAMPLES, SLACK);                                                \
    }
PROPERTY(trilinear)
PROPERTY(bilinear)
PROPERTY(impulse)
PROPERTY(shift)
PROPERTY(difference)
PROPERTY(by_another)

int main(void)
{
    return run_over_registry("trilinear", test_trilinear, false) +
           run_over_registry("bilinear", test_bilinear, false) +
           run_over_registry("impulse", test_impulse, false) + run_over_registry("shift", test_shift, false) +
           run_over_registry("difference", test_difference, false) +
           run_over_registry("by another pass", test_by_another, false);
}
