#!/usr/bin/python3
"""The verdict of a study: first what the study is worth and what failed in it, then for each size and pass the fastest
implementation, its effective GFLOP/s, and how many times faster it is than the best of onednn and onednn-plain. --all
lists every implementation of every layer instead.
SPDX-License-Identifier: Apache-2.0"""

import startup
startup.explain_missing_modules()

import numpy as np

import tripass_data as data
import worth

FOOTER = """
GFLOP/s are effective (nominal operations / time). oneDNN: times faster than the best of onednn and onednn-plain.
~  nothing is won: the 95 % interval over the processes holds 1, or the difference is below the noise floor
?  one process only, so nobody can say        -  oneDNN was not measured
3/12  the fastest of 3 that were measured of 12 candidates: another may be faster
!  faster than the ceiling without saving multiplications: do not believe it"""


def candidates(points):
    """"3/12" if of the 12 candidates of a (problem, pass) only 3 have a time, else ""."""
    missing = len(points.iloc[0]["unmeasured"])
    return f"{len(points)}/{len(points) + missing}" if missing else ""


def verdict(points, times, floor):
    """The cell of one (problem, pass)."""
    best = points.loc[points["t_median_s"].idxmin()]
    mark = "!" if data.above_ceiling(points)[best.name] else ""
    name = f"{best['impl']}{mark} {candidates(points)}".rstrip()
    return f"{name:<20} {best['gflops']:7.3g} {against(best, points, times, floor):>6}"


def against(row, points, times, floor):
    """How many times faster than the best of oneDNN."""
    theirs = data.rivals(points)
    if theirs.empty:
        return "-"
    ratio, low, _ = data.estimate(data.fastest(times[list(theirs["impl"])]) / times[row["impl"]])
    if np.isnan(ratio):
        return "-"
    return "?" if np.isnan(low) else f"{ratio:.2f}{'x' if data.is_win(ratio, low, floor) else '~'}"


def print_fastest(rows, tables, floor):
    """A row a layer, a column a pass."""
    passes = [p for p in data.PASSES if p in set(rows["pass"])]
    labels = {problem: label(points.iloc[0]) for problem, points in rows.groupby("problem", sort=False)}
    width = max(map(len, labels.values()))
    print(" " * width + "".join(f"  {p + ': fastest':<20} GFLOP/s oneDNN" for p in passes))
    for problem, points in rows.groupby("problem", sort=False):
        groups = {output: group for output, group in points.groupby("pass")}
        cells = [verdict(groups[p], tables[tuple(groups[p].iloc[0][data.GROUP])], floor) if p in groups else " " * 35
                 for p in passes]
        print(f"{labels[problem]:<{width}}  {'  '.join(cells)}".rstrip())


def label(row):
    return f"{row['name'] or data.size_label(row)} mb{row['mb']:.0f}"


def print_all(rows, points, tables, usable):
    """A block a layer and pass: all implementations, the fastest first, and why the others have no time."""
    print(f"{'':<18} {'ms':>10} {'[95 % interval]':>21} {'GFLOP/s':>8} {'ceiling':>8} {'times oneDNN':>18}  flags")
    lost = dict(list(points[points["status"] != "OK"].groupby(data.GROUP)))
    for group, layer in rows.groupby(data.GROUP, sort=False):
        print(f"{label(layer.iloc[0])} {group[-1]}")
        marks = data.above_ceiling(layer)
        for index, row in layer.sort_values("t_median_s").iterrows():
            bracket = "" if np.isnan(row["t_lo_s"]) else f"[{1e3 * row['t_lo_s']:.4g} {1e3 * row['t_hi_s']:.4g}]"
            share = "-" if np.isnan(row["pct_ceiling"]) else f"{row['pct_ceiling']:.0f} %{'!' if marks[index] else ''}"
            print(f"  {row['impl']:<16} {1e3 * row['t_median_s']:>10.4g} {bracket:>21} {row['gflops']:>8.4g} {share:>8} "
                  f"{times_onednn(row, layer, tables[group]) if usable else '-':>18}  {row['flags']}".rstrip())
        if group in lost:
            others = lost[group][~lost[group]["impl"].isin(layer["impl"])].drop_duplicates("impl")
            for row in others[~others["impl"].str.endswith(data.CONTROL)].itertuples():
                print(f"  {row.impl:<16} {row.status}: {row.reason}")


def times_onednn(row, layer, times):
    theirs = data.rivals(layer)
    if theirs.empty:
        return "-"
    ratio, low, high = data.estimate(data.fastest(times[list(theirs["impl"])]) / times[row["impl"]])
    return "-" if np.isnan(ratio) else "?" if np.isnan(low) else f"{ratio:.2f} [{low:.2f} {high:.2f}]"


def print_scaling(rows):
    """A row a layer and pass, a column a thread count: GFLOP/s of the fastest, speedup, efficiency."""
    rows = rows.assign(
        layer=[f"{label(row)} {row['pass']}" for _, row in rows.iterrows()],
        cell=[f"{row.gflops:7.3g} {row.speedup:5.2f} {100 * row.efficiency:4.0f} %" for row in rows.itertuples()])
    table = rows.pivot_table(index="layer", columns="threads", values="cell", aggfunc="first", sort=False).fillna("-")
    table = table[sorted(table)]
    width = max(map(len, table.index))
    study, *setting = rows[data.ANY_THREADS].iloc[0]
    print(f"\n{study}: {data.setting_title(None, *setting)}: fastest of each thread count: GFLOP/s, speedup over the fewest threads, efficiency")
    print(" " * width + "".join(f"  {data.thread_count(threads):>20}" for threads in table))
    for layer, cells in table.iterrows():
        print(f"{layer:<{width}}" + "".join(f"  {cell:>20}" for cell in cells))


def main():
    parser = worth.parser(__doc__.split("\nSPDX")[0])
    parser.add_argument("directory", nargs="+", help="what tripass run -o was given, or a directory above it")
    parser.add_argument("--all", action="store_true",
                        help="all implementations: ms, interval, GFLOP/s, percent of the ceiling, times oneDNN, flags")
    options = parser.parse_args()
    points = data.read_points(options.directory)
    summary, controls = data.summarize(points), data.controls(points)
    found, lines = worth.opening(points, controls)
    print("\n".join(lines))
    tables = data.replicates(summary)
    for setting, rows in summary.groupby(data.SETTING, sort=False):
        print(f"\n{setting[0]}: {data.setting_title(*setting[1:])}, ceiling {data.ceiling(rows):.0f} GFLOP/s")
        if options.all:
            print_all(rows, points, tables, found.usable(setting))
        elif found.usable(setting):
            print_fastest(rows, tables, found.floor(setting))
        else:
            print("unusable: no winner is declared; verdict.py --all lists the times")
        print(data.floor_text(controls, setting))
    if not options.all:
        for _, rows in data.scaling(found.usable_rows(summary)).groupby(data.ANY_THREADS, sort=False):
            print_scaling(rows)
    print(FOOTER)


if __name__ == "__main__":
    data.run(main)
