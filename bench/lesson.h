/* A layer that is being explained: its values, its symbols, and the matrices that the benchmarked code makes of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_LESSON_H
#define TRIPASS_LESSON_H

#include "conv.h"
#include "explicit/matrix.h"
#include "sheet.h"

#include <stdint.h>

struct lesson {
    struct sheet sheet;
    struct conv_problem problem;
    struct conv_layer layer; /* b and phi of the part on the whole layer */
    bool numbers;            /* show values instead of symbols */
    double lr;
    uint64_t seed;
    float *tensor[CONV_TENSORS];   /* small integers: src, wei, and dst = forward of them */
    float *gradient[CONV_TENSORS]; /* dL/dsrc, dL/dwei, dL/ddst */
};

/* The same lesson on another problem, with values of its own. */
struct lesson lesson_open(const struct lesson *like, const struct conv_problem *problem);
void lesson_close(struct lesson *lesson);

/* ---- values ---- */

/* A plain tensor of zeros, to be freed. */
float *lesson_zeros(size_t elements);

/* Fills with small integers, none zero, so that all that follows is exact and nothing vanishes by chance. */
void lesson_draw(float *tensor, size_t elements, uint64_t *random);

/* One pass by one implementation: tensor[output] from the other two. */
void lesson_compute(const char *impl, const struct conv_problem *problem, enum conv_tensor output,
                    float *const tensor[CONV_TENSORS]);

bool lesson_same(const float *a, const float *b, size_t elements);

/* What the sheet says of two results that must be equal. */
const char *lesson_verdict(bool equal);

/* ---- cells ---- */

/* A matrix of empty cells, to be shown with lesson_show or freed. */
struct sheet_matrix lesson_cells(int rows, int columns);
void lesson_number(char cell[SHEET_CELL], double value);

/* The symbol of an element: x, w or y with indexes, or the course's letters. */
void lesson_symbol(char cell[SHEET_CELL], const struct conv_problem *problem, enum conv_tensor tensor,
                   size_t index);

/* Of elements first, first + 1, ..: values, symbols, or with `gradient` those of the gradient. */
struct sheet_matrix lesson_tensor(const struct lesson *lesson, enum conv_tensor tensor, bool gradient,
                                  size_t first, int rows, int columns);

/* The plane of image or output channel a, channel b. */
struct sheet_matrix lesson_plane(const struct lesson *lesson, enum conv_tensor tensor, bool gradient, int a,
                                 int b);

/* What stands in `number`: n > 0 is element n - 1 of the tensor, 0 is 0. */
struct sheet_matrix lesson_numbered(const struct lesson *lesson, enum conv_tensor tensor, const float *number,
                                    int rows, int columns);

/* A matrix of the explicit family, from its own builder, that is given numbers of elements, 1 ..; row-major, to be freed.
 * `first` is the number of the first, less 1: Q and Q^T take one image. Its borders divide channels. */
struct sheet_matrix lesson_explicit(const struct lesson *lesson, enum matrix_name which, size_t first);
float *lesson_explicit_numbers(const struct conv_problem *problem, enum matrix_name which,
                               const float *values, int *rows, int *columns);

/* 1, 2, 3, ... */
float *lesson_counted(size_t elements);

/* Pixels of a plane. */
size_t lesson_pixels(const struct conv_problem *problem, enum conv_tensor tensor);

/* Shows an equation, in which each @ is the next matrix, and frees the matrices. */
void lesson_show(const struct lesson *lesson, const char *equation, struct sheet_matrix *matrix);

/* "1 image", "2 images": into a static buffer, of which eight serve in turn. */
const char *lesson_count(int count, const char *noun);

/* "2", or "2 and 1" where height and width differ: likewise. */
const char *lesson_both(int h, int w);

#endif
