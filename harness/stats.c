/* Order statistics. SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stats_quantile(const double *sorted, int n, double q)
{
    if (n < 1)
        return NAN;
    double at = q * (n - 1);
    int below = (int)at;
    if (below >= n - 1)
        return sorted[n - 1];
    return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

int stats_interval_rank(int n)
{
    double tail = 0; /* P(Binomial(n, 1/2) < rank) */
    for (int rank = 0;; rank++) {
        tail += exp(lgamma(n + 1.0) - lgamma(rank + 1.0) - lgamma(n - rank + 1.0) - n * M_LN2);
        if (!(1 - 2 * tail >= 0.95))
            return rank;
    }
}

struct stats stats_of(double *samples, int n)
{
    struct stats stats = {n, NAN, NAN, NAN, NAN};
    for (int i = 0; i < n; i++)
        if (isnan(samples[i]))
            return stats;
    if (n < 1)
        return stats;
    qsort(samples, (size_t)n, sizeof *samples, compare);
    stats.min = samples[0];
    stats.median = stats_quantile(samples, n, 0.5);
    int rank = stats_interval_rank(n);
    if (rank > 0) {
        stats.lo = samples[rank - 1];
        stats.hi = samples[n - rank];
    }
    return stats;
}
