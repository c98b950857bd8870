/* The matrices of the course: convolution is linear in each of its arguments, so that per image
 *
 *     forward          dst = A src        A: the weights, doubly blocked Toeplitz; a row for each (oc, oh, ow)
 *     backward         src = A^T dst      A^T: a row for each (ic, ih, iw)
 *     forward again    dst = Q wei        Q: the inputs; a row for each (oh, ow), a column for each (ic, kh, kw)
 *     weight update    wei = Q^T dst      Q^T: a row for each (ic, kh, kw)
 *
 * All four are the same set of triples (input pixel, tap, output pixel), those in which the tap of the output
 * pixel reads the input pixel; one of the three is the row, one the column, and the tensor of the third is where
 * the value stands. With groups, a row of A or A^T holds the columns of its own group only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_MATRIX_H
#define TRIPASS_MATRIX_H

#include "conv.h"

enum matrix_name { MATRIX_A, MATRIX_A_TRANSPOSED, MATRIX_Q, MATRIX_Q_TRANSPOSED };

/* The triples of one axis, (ih, kh, oh) or (iw, kw, ow), indexed by enum conv_tensor and sorted by the coordinate
 * that is the row; those of coordinate r are triple[start[r]] .. triple[start[r+1] - 1]. */
struct matrix_axis {
    size_t *start;
    int (*triple)[CONV_TENSORS];
};

struct matrix {
    size_t rows, cols; /* cols: of one row, that is of its group for A and A^T */
    size_t entries;    /* that the padding does not make zero; SIZE_MAX if they cannot be counted */
    enum conv_tensor row, col, value;
    struct conv_problem problem;
    struct matrix_axis axis[2]; /* h, w */
};

/* Describes a matrix. Returns NULL, or a static reason (then nothing needs to be destroyed). Takes memory for
 * the two axes only, never for the matrix. */
const char *matrix_create(struct matrix *matrix, const struct conv_problem *problem, enum matrix_name name);
void matrix_destroy(struct matrix *matrix);

/* The group that a row belongs to; 0 for Q. */
int matrix_group(const struct matrix *matrix, size_t row);

/* Entries in all rows before this one, where a sparse row begins. row <= rows. */
size_t matrix_start(const struct matrix *matrix, size_t row);

/* Writes a row: dense to `to`, zeros included (cols floats), or sparse in order of rising columns (as many
 * entries as matrix_start says). `values` is the tensor matrix.value, for Q and Q^T one image of it. */
void matrix_fill_dense(const struct matrix *matrix, size_t row, const float *values, float *to);
void matrix_fill_sparse(const struct matrix *matrix, size_t row, const float *values, int *col, float *value);

#endif
