/* Statistics of a point's samples, without assumptions on their distribution: order statistics only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_STATS_H
#define TRIPASS_STATS_H

/* Of n sorted samples; every function below is NAN where it is not defined. */
struct stats {
    int n;
    double min, median;
    double lo, hi; /* exact interval that covers the median with >= 95 %; NAN for n < 6, where none does */
};

/* Sorts the samples in place. A NAN among them makes every figure NAN. */
struct stats stats_of(double *samples, int n);

/* 0 <= q <= 1, linear between order statistics (Hyndman and Fan's type 7, as numpy and R have it). */
double stats_quantile(const double *sorted, int n, double q);

/* The 1-based rank r such that the r-th smallest and the r-th largest of n independent samples enclose the median
 * with probability >= 95 %, r as large as possible: 1 - 2 P(Binomial(n, 1/2) < r) >= 0.95. 0 for n < 6. */
int stats_interval_rank(int n);

#endif
