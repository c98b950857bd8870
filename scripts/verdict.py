#!/usr/bin/python3
"""The verdict of a study: for each size and pass the fastest implementation, its effective GFLOP/s, and how many times
faster it is than the best of onednn and onednn-plain. Behind that: "~" if the 95 % interval of the ratio holds 1,
"?" if there were too few calls for an interval.
SPDX-License-Identifier: Apache-2.0"""

import argparse

import numpy as np

import tripass_data as data


def verdict(points, times):
    """The cell of one (problem, pass)."""
    best = points.loc[points["t_median_s"].idxmin()]
    cell = f"{best['impl']:<15} {best['gflops']:6.0f}"
    theirs = points[points["impl"].isin(data.BASELINE)]
    if theirs.empty:
        return cell + "      -"
    rival = theirs.loc[theirs["t_median_s"].idxmin()]
    drawn = times[list(theirs["impl"])].min(axis=1) / times[best["impl"]]
    low, high = data.interval(drawn, min(best["n"], rival["n"]))
    mark = "?" if np.isnan(low) else "~" if low <= 1 <= high else "x"
    return cell + f" {rival['t_median_s'] / best['t_median_s']:5.2f}{mark}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\nSPDX")[0])
    parser.add_argument("directory", nargs="+", help="what tripass run -o was given, or a directory above it")
    summary = data.summarize(data.read_points(parser.parse_args().directory))
    tables = data.replicates(summary)
    for (study, threads, isa, cache), rows in summary.groupby(data.SETTING, sort=False):
        passes = [p for p in data.PASSES if p in set(rows["pass"])]
        labels = {row.problem: f"{row.name_ or data.size_label(row)} mb{row.mb:.0f}"
                  for row in rows.rename(columns={"name": "name_"}).itertuples()}
        width = max(map(len, labels.values()))
        print(f"\n{study}: {threads:.0f} threads, {isa}, {cache} caches, ceiling {data.ceiling(rows):.0f} GFLOP/s")
        print(" " * width + "".join(f"  {p + ': fastest':<15} GFLOP/s oneDNN" for p in passes))
        for problem, points in rows.groupby("problem", sort=False):
            cells = [verdict(points[points["pass"] == p], tables[study, threads, isa, cache, problem, p])
                     if (points["pass"] == p).any() else " " * 29 for p in passes]
            print(f"{labels[problem]:<{width}}  {'  '.join(cells)}")
    print("\nGFLOP/s are effective (nominal operations / time). oneDNN: times faster than the best of onednn and"
          "\nonednn-plain; ~ its 95 % interval holds 1, so nothing is won; ? too few calls to say.")


if __name__ == "__main__":
    data.run(main)
