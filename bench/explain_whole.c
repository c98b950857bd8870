/* The part of `explain` on the layer with bias and phi. SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "activation.h"
#include "complain.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- y = phi(w * x + b) ---- */

struct whole {
    const struct activation *phi;
    float *bias, *z, *y, *dz, *db; /* of oc, dst, dst, dst, oc elements */
};

static int channel_of(const struct conv_problem *p, size_t element)
{
    return (int)(element / lesson_pixels(p, CONV_DST) % (size_t)p->oc);
}

/* Weights and b are divided by this power of two, which keeps all sums exact: then phi bends, and does not saturate. */
enum { SCALE = 8 };

/* The lesson with its weights divided. */
static struct lesson lesson_scaled(const struct lesson *lesson)
{
    struct lesson scaled = lesson_open(lesson, &lesson->problem);
    scaled.numbers = true;
    for (size_t i = 0; i < conv_elements(&scaled.problem, CONV_WEI); i++)
        scaled.tensor[CONV_WEI][i] /= SCALE;
    lesson_compute("explicit-dense", &scaled.problem, CONV_DST, scaled.tensor);
    return scaled;
}

/* Step by step: z = w * x + b, y = phi(z); dz = dy phi'(z), db = sum of dz. */
static struct whole whole_compute(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    const size_t outputs = conv_elements(p, CONV_DST), channels = (size_t)p->oc;
    uint64_t random = lesson->seed + 2;
    struct whole w = {&activations[lesson->layer.activation],
                      lesson_zeros(channels),
                      lesson_zeros(outputs),
                      lesson_zeros(outputs),
                      lesson_zeros(outputs),
                      lesson_zeros(channels)};
    if (lesson->layer.bias)
        lesson_draw(w.bias, channels, &random);
    for (size_t j = 0; j < channels; j++)
        w.bias[j] /= SCALE;
    for (size_t i = 0; i < outputs; i++) {
        w.z[i] = lesson->tensor[CONV_DST][i] + w.bias[channel_of(p, i)];
        w.y[i] = w.z[i];
    }
    activation_apply(w.phi, w.y, outputs);
    activation_backward(w.phi, w.y, lesson->gradient[CONV_DST], w.dz, outputs);
    for (size_t i = 0; i < outputs; i++)
        w.db[channel_of(p, i)] += w.dz[i];
    return w;
}

static void whole_free(struct whole *w)
{
    float *all[] = {w->bias, w->z, w->y, w->dz, w->db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* One pass of the layer as `tripass run` times it, by an implementation on plain tensors; result in tensor[output], db in
 * `beside`. */
static void layer_compute(const struct lesson *lesson, enum conv_tensor output,
                          float *const tensor[CONV_TENSORS], float *beside)
{
    const struct conv_impl *impl = conv_impl_find("explicit-dense");
    struct conv_plan plan = {.problem = lesson->problem,
                             .output = output,
                             .threads = 1,
                             .isa = isa_best(),
                             .layer = lesson->layer};
    const char *reason = conv_plan_make(impl, &plan);
    if (reason)
        usage_error("explain: %s cannot do this problem: %s", impl->name, reason);
    float *scratch = lesson_zeros(plan.scratch_bytes / sizeof(float) + 1);
    conv_run(impl, &plan, tensor, beside, scratch);
    free(scratch);
    conv_plan_destroy(impl, &plan);
}

static double difference(const float *a, const float *b, size_t elements)
{
    double largest = 0;
    for (size_t i = 0; i < elements; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= largest))
            largest = fabs((double)a[i] - (double)b[i]);
    return largest;
}

/* The layer's three passes against the steps: y, then dx and dw of dz. bwd is handed dy and makes dz of it. */
static double whole_difference(const struct lesson *lesson, const struct whole *w)
{
    const struct conv_problem *p = &lesson->problem;
    const size_t outputs = conv_elements(p, CONV_DST);
    float *y = lesson_zeros(outputs), *dz = lesson_zeros(outputs), *db = lesson_zeros((size_t)p->oc);
    float *dx = lesson_zeros(conv_elements(p, CONV_SRC)),
          *dx_steps = lesson_zeros(conv_elements(p, CONV_SRC));
    float *dw = lesson_zeros(conv_elements(p, CONV_WEI)),
          *dw_steps = lesson_zeros(conv_elements(p, CONV_WEI));
    float *const *x = lesson->tensor;
    layer_compute(lesson, CONV_DST, (float *[]){x[CONV_SRC], x[CONV_WEI], y}, w->bias);
    memcpy(dz, lesson->gradient[CONV_DST], outputs * sizeof *dz);
    layer_compute(lesson, CONV_SRC, (float *[]){dx, x[CONV_WEI], dz}, y);
    layer_compute(lesson, CONV_WEI, (float *[]){x[CONV_SRC], dw, w->dz}, db);
    lesson_compute("direct", p, CONV_SRC, (float *[]){dx_steps, x[CONV_WEI], w->dz});
    lesson_compute("direct", p, CONV_WEI, (float *[]){x[CONV_SRC], dw_steps, w->dz});
    double largest = fmax(difference(y, w->y, outputs), difference(dx, dx_steps, conv_elements(p, CONV_SRC)));
    largest = fmax(largest, difference(dw, dw_steps, conv_elements(p, CONV_WEI)));
    if (lesson->layer.bias)
        largest = fmax(largest, difference(db, w->db, (size_t)p->oc));
    float *all[] = {y, dz, db, dx, dx_steps, dw, dw_steps};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    return largest;
}

static struct sheet_matrix plane_of(const struct lesson *lesson, const float *value)
{
    struct sheet_matrix m = lesson_cells(lesson->problem.oh, lesson->problem.ow);
    for (int i = 0; i < m.rows * m.columns; i++)
        lesson_number(m.cell[i], (double)value[i]);
    return m;
}

void explain_whole(const struct lesson *lesson)
{
    const struct conv_problem *p = &lesson->problem;
    const size_t pixels = lesson_pixels(p, CONV_DST);
    struct lesson values = lesson_scaled(lesson);
    struct whole w = whole_compute(&values);
    sheet_text(&lesson->sheet, "Here $φ$ is %s, %s $b$ (--act, --bias). $z$ stands for $w ⋆ x + b$.",
               w.phi->name, lesson->layer.bias ? "with a" : "without");
    sheet_derivation(&lesson->sheet, 5,
                     (struct sheet_step[]){
                         {"z(s,j) = Σ_i x(s,i) ⋆ w(j,i) + b_j",
                          "the convolution; $b_j$ goes to every pixel of every image"},
                         {"y = φ(z)", "entry by entry"},
                         {"∂L/∂z_k = φ′(z_k) · ∂L/∂y_k", "backward through $φ$: the diagonal Jacobian"},
                         {"∂L/∂b_j = Σ_s Σ_k ∂L/∂z(s,j)_k",
                          "$b_j$ enters every pixel $k$ of output channel $j$ with the factor 1"},
                         {"∂L/∂x = ∂L/∂z · A, ∂L/∂m = ∂L/∂z · Q",
                          "then through the convolution, with $∂L/∂z$ where $∂L/∂y$ was"},
                     });
    sheet_text(&lesson->sheet, "In numbers, with weights and $b$ in eighths%s:",
               p->mb * p->oc * p->ic > 1 ? ", for the first image and channels" : "");
    char sum[64];
    snprintf(sum, sizeof sum, "w ⋆ x = @   b_1 = %g", (double)w.bias[0]);
    lesson_show(lesson, sum, (struct sheet_matrix[]){lesson_plane(&values, CONV_DST, false, 0, 0)});
    lesson_show(lesson, "z = @   y = φ(z) = @",
                (struct sheet_matrix[]){plane_of(lesson, w.z), plane_of(lesson, w.y)});
    struct sheet_matrix slope = lesson_cells(p->oh, p->ow);
    for (size_t i = 0; i < pixels; i++)
        lesson_number(slope.cell[i], (double)w.phi->derivative(w.y[i]));
    lesson_show(
        lesson, "∂L/∂z = @ = @ ⊙ @   (⊙ entry by entry)",
        (struct sheet_matrix[]){plane_of(lesson, w.dz), slope, lesson_plane(&values, CONV_DST, true, 0, 0)});
    if (lesson->layer.bias)
        sheet_text(&lesson->sheet, "$∂L/∂b_1 = %.4g$, the sum of $∂L/∂z$ over %s of %s.", (double)w.db[0],
                   lesson_count((int)pixels, "pixel"), lesson_count(p->mb, "image"));
    sheet_text(&lesson->sheet,
               "The layer's passes as the program times them with --bias and --act, and these steps: the "
               "largest difference is %.1e.",
               whole_difference(&values, &w));
    lesson_close(&values);
    whole_free(&w);
}
