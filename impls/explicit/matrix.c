/* See matrix.h. The taps of a convolution are independent in h and w, so the triples of the plane are pairs of a triple
 * of each axis. SPDX-License-Identifier: Apache-2.0 */
#include "explicit/matrix.h"
#include "size.h"

#include <stdlib.h>
#include <string.h>

/* Extents of the planes of the three tensors along an axis. */
static void extents(const struct conv_problem *p, int axis, int extent[CONV_TENSORS])
{
    const int h[CONV_TENSORS] = {p->ih, p->kh, p->oh}, w[CONV_TENSORS] = {p->iw, p->kw, p->ow};
    memcpy(extent, axis == 0 ? h : w, sizeof h);
}

/* Calls for the triples of an axis in order of (output, tap); with `triple` NULL only counts them by row. Afterwards
 * next[r] has grown by the number of triples of row r. */
static void each_triple(const struct conv_problem *p, int axis, enum conv_tensor row, size_t *next,
                        int (*triple)[CONV_TENSORS])
{
    int extent[CONV_TENSORS];
    extents(p, axis, extent);
    const int stride = axis == 0 ? p->sh : p->sw, pad = axis == 0 ? p->ph : p->pw;
    const int step = (axis == 0 ? p->dh : p->dw) + 1;
    for (int o = 0; o < extent[CONV_DST]; o++)
        for (int k = 0; k < extent[CONV_WEI]; k++) {
            const int i = o * stride - pad + k * step;
            if (i < 0 || i >= extent[CONV_SRC])
                continue;
            const int at[CONV_TENSORS] = {i, k, o};
            if (triple)
                memcpy(triple[next[at[row]]], at, sizeof at);
            next[at[row]]++;
        }
}

static bool axis_create(struct matrix_axis *a, const struct conv_problem *p, int axis, enum conv_tensor row)
{
    int extent[CONV_TENSORS];
    extents(p, axis, extent);
    const int rows = extent[row];
    /* Counted into start[2 ..], summed up, and filled through start[1 ..], which then are the beginnings. */
    a->start = calloc((size_t)rows + 2, sizeof *a->start);
    if (!a->start)
        return false;
    each_triple(p, axis, row, a->start + 2, NULL);
    for (int r = 0; r < rows; r++)
        a->start[r + 2] += a->start[r + 1];
    a->triple = calloc(a->start[rows + 1] + 1, sizeof *a->triple);
    if (!a->triple) {
        free(a->start);
        return false;
    }
    each_triple(p, axis, row, a->start + 1, a->triple);
    return true;
}

/* How the channels lie in a matrix. Row (a, ...) and column (b, ...), with a counted over all groups and b within
 * the group, hold the value at first(a) + b * step + its place in a plane. */
struct channels {
    size_t rows, cols; /* channels down and across */
    size_t step;
};

static struct channels channels_of(const struct matrix *m)
{
    const struct conv_problem *p = &m->problem;
    const size_t icg = p->ic / p->g, ocg = p->oc / p->g, taps = (size_t)p->kh * p->kw;
    if (m->row == CONV_DST)
        return m->value == CONV_WEI ? (struct channels){p->oc, icg, taps}
                                    : (struct channels){1, p->ic, (size_t)p->ih * p->iw};
    return m->value == CONV_WEI ? (struct channels){p->ic, ocg, icg * taps} : (struct channels){p->ic, 1, 0};
}

static size_t first_value(const struct matrix *m, size_t a)
{
    const struct conv_problem *p = &m->problem;
    const size_t icg = p->ic / p->g, ocg = p->oc / p->g, taps = (size_t)p->kh * p->kw;
    if (m->row == CONV_DST)
        return m->value == CONV_WEI ? a * icg * taps : 0;
    return m->value == CONV_WEI ? (a / icg * ocg * icg + a % icg) * taps : a * p->ih * p->iw;
}

static size_t plane(const struct matrix *m, enum conv_tensor tensor)
{
    int h[CONV_TENSORS], w[CONV_TENSORS];
    extents(&m->problem, 0, h);
    extents(&m->problem, 1, w);
    return (size_t)h[tensor] * w[tensor];
}

const char *matrix_create(struct matrix *m, const struct conv_problem *problem, enum matrix_name name)
{
    static const enum conv_tensor roles[][3] = {
        [MATRIX_A] = {CONV_DST, CONV_SRC, CONV_WEI},
        [MATRIX_A_TRANSPOSED] = {CONV_SRC, CONV_DST, CONV_WEI},
        [MATRIX_Q] = {CONV_DST, CONV_WEI, CONV_SRC},
        [MATRIX_Q_TRANSPOSED] = {CONV_WEI, CONV_DST, CONV_SRC},
    };
    *m = (struct matrix){
        .row = roles[name][0], .col = roles[name][1], .value = roles[name][2], .problem = *problem};
    const struct channels channels = channels_of(m);
    m->rows = size_multiply(channels.rows, plane(m, m->row));
    m->cols = size_multiply(channels.cols, plane(m, m->col));
    if (!axis_create(&m->axis[0], problem, 0, m->row))
        return "out of memory";
    if (!axis_create(&m->axis[1], problem, 1, m->row)) {
        free(m->axis[0].start);
        free(m->axis[0].triple);
        return "out of memory";
    }
    m->entries = size_multiply(channels.rows, channels.cols);
    for (int axis = 0; axis < 2; axis++) {
        int extent[CONV_TENSORS];
        extents(problem, axis, extent);
        m->entries = size_multiply(m->entries, m->axis[axis].start[extent[m->row]]);
    }
    return NULL;
}

void matrix_destroy(struct matrix *m)
{
    for (int axis = 0; axis < 2; axis++) {
        free(m->axis[axis].start);
        free(m->axis[axis].triple);
    }
}

/* A row taken apart: its channel, and its coordinates along the axes. */
struct place {
    size_t channel;
    int at[2];
};

static struct place place_of(const struct matrix *m, size_t row)
{
    int w[CONV_TENSORS];
    extents(&m->problem, 1, w);
    const size_t in_plane = row % plane(m, m->row);
    return (struct place){row / plane(m, m->row), {(int)(in_plane / w[m->row]), (int)(in_plane % w[m->row])}};
}

int matrix_group(const struct matrix *m, size_t row)
{
    const struct channels channels = channels_of(m);
    return channels.rows == 1 ? 0 : (int)(place_of(m, row).channel / (channels.rows / m->problem.g));
}

size_t matrix_start(const struct matrix *m, size_t row)
{
    const struct place place = place_of(m, row);
    int h[CONV_TENSORS], w[CONV_TENSORS];
    extents(&m->problem, 0, h);
    extents(&m->problem, 1, w);
    const size_t *of_h = m->axis[0].start, *of_w = m->axis[1].start;
    const size_t across = of_w[w[m->row]], above = of_h[place.at[0]], here = of_h[place.at[0] + 1] - above;
    const size_t before = (place.channel * of_h[h[m->row]] + above) * across + here * of_w[place.at[1]];
    return before * channels_of(m).cols;
}

/* Writes a row's entries in order of rising columns: to their places in a dense row, or, with `col`, packed. */
static inline void fill(const struct matrix *m, size_t row, const float *values, int *col, float *to)
{
    int w[CONV_TENSORS];
    extents(&m->problem, 1, w);
    const struct place place = place_of(m, row);
    const struct channels channels = channels_of(m);
    const size_t col_plane = plane(m, m->col), first = first_value(m, place.channel);
    const struct matrix_axis *h = &m->axis[0], *v = &m->axis[1];
    const size_t h_end = h->start[place.at[0] + 1], w_end = v->start[place.at[1] + 1];
    for (size_t b = 0; b < channels.cols; b++)
        for (size_t i = h->start[place.at[0]]; i < h_end; i++) {
            const size_t col_row = b * col_plane + (size_t)h->triple[i][m->col] * w[m->col];
            const float *from =
                values + first + b * channels.step + (size_t)h->triple[i][m->value] * w[m->value];
            for (size_t j = v->start[place.at[1]]; j < w_end; j++) {
                const size_t at = col_row + v->triple[j][m->col];
                if (col)
                    *col++ = (int)at;
                *(col ? to++ : to + at) = from[v->triple[j][m->value]];
            }
        }
}

void matrix_fill_dense(const struct matrix *m, size_t row, const float *values, float *to)
{
    memset(to, 0, m->cols * sizeof *to);
    fill(m, row, values, NULL, to);
}

void matrix_fill_sparse(const struct matrix *m, size_t row, const float *values, int *col, float *value)
{
    fill(m, row, values, col, value);
}
