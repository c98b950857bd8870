#!/usr/bin/python3
"""The verdict of a study: for each size and pass the fastest implementation, its effective GFLOP/s, and how many times
faster it is than the best of onednn and onednn-plain. Behind that: "~" if nothing is won, because the 95 % interval of
the ratio over the worker processes holds 1 or the difference is below the noise floor of the A/A controls; "?" if
there was one process only, so no interval.
SPDX-License-Identifier: Apache-2.0"""

import argparse

import startup
startup.explain_missing_modules()

import numpy as np

import tripass_data as data


def verdict(points, times, floor):
    """The cell of one (problem, pass)."""
    best = points.loc[points["t_median_s"].idxmin()]
    cell = f"{best['impl']:<15} {best['gflops']:6.0f}"
    theirs = data.rivals(points)
    if theirs.empty:
        return cell + "      -"
    ratio, low, _ = data.estimate(data.fastest(times[list(theirs["impl"])]) / times[best["impl"]])
    mark = "?" if np.isnan(low) else "x" if data.is_win(ratio, low, floor) else "~"
    return cell + f" {ratio:5.2f}{mark}"


def print_scaling(rows):
    """A row a layer and pass, a column a thread count: GFLOP/s of the fastest, speedup, efficiency."""
    rows = rows.assign(
        layer=[f"{row['name'] or data.size_label(row)} mb{row['mb']:.0f} {row['pass']}" for _, row in rows.iterrows()],
        cell=[f"{row.gflops:6.0f} {row.speedup:5.2f} {100 * row.efficiency:4.0f} %" for row in rows.itertuples()])
    table = rows.pivot_table(index="layer", columns="threads", values="cell", aggfunc="first", sort=False).fillna("-")
    width = max(map(len, table.index))
    study, *setting = rows[data.ANY_THREADS].iloc[0]
    print(f"\n{study}: {data.setting_title(None, *setting)}: fastest of each thread count: GFLOP/s, speedup over the fewest threads, efficiency")
    print(" " * width + "".join(f"  {threads:>11.0f} threads" for threads in table))
    for layer, cells in table.iterrows():
        print(f"{layer:<{width}}" + "".join(f"  {cell:>19}" for cell in cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\nSPDX")[0])
    parser.add_argument("directory", nargs="+", help="what tripass run -o was given, or a directory above it")
    points = data.read_points(parser.parse_args().directory)
    summary, controls = data.summarize(points), data.controls(points)
    tables, floors = data.replicates(summary), data.noise_floor(controls)
    for setting, rows in summary.groupby(data.SETTING, sort=False):
        passes = [p for p in data.PASSES if p in set(rows["pass"])]
        labels = {row.problem: f"{row.name_ or data.size_label(row)} mb{row.mb:.0f}"
                  for row in rows.rename(columns={"name": "name_"}).itertuples()}
        width = max(map(len, labels.values()))
        print(f"\n{setting[0]}: {data.setting_title(*setting[1:])}, ceiling {data.ceiling(rows):.0f} GFLOP/s")
        print(" " * width + "".join(f"  {p + ': fastest':<15} GFLOP/s oneDNN" for p in passes))
        for problem, points in rows.groupby("problem", sort=False):
            cells = [verdict(points[points["pass"] == p], tables[*setting, problem, p], floors.get(setting, 1))
                     if (points["pass"] == p).any() else " " * 29 for p in passes]
            print(f"{labels[problem]:<{width}}  {'  '.join(cells)}")
        print(data.floor_text(controls, setting))
    for _, rows in data.scaling(summary).groupby(data.ANY_THREADS, sort=False):
        print_scaling(rows)
    print("\nGFLOP/s are effective (nominal operations / time). oneDNN: times faster than the best of onednn and"
          "\nonednn-plain; ~ nothing is won: the 95 % interval over the processes holds 1, or it is below the noise floor;"
          "\n? one process only, so nobody can say.")


if __name__ == "__main__":
    data.run(main)
