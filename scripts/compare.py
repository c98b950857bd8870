#!/usr/bin/python3
"""What changed from one run of a study to another: for each point new time / old time, its 95 % interval and the p-value
of a test. Ends with status 1 if a point became slower by more than the threshold, 0 if none did, 2 for bad input.

The worker processes of the two runs are independent samples, so interval and test are Welch's, of the logarithms of the
processes' times. A point has changed if its interval leaves out 1; of points that are the same, one in twenty does so by
chance. It is a regression only if the whole interval lies beyond the threshold.
SPDX-License-Identifier: Apache-2.0"""

import sys
from pathlib import Path

import startup
startup.explain_missing_modules()

import numpy as np
import pandas as pd
from scipy import stats

import tripass_data as data
import worth

KEY = ["place", *data.GROUP[1:], "impl"]  # as data.GROUP has it, but the two runs are two studies


def times_of(points, directory):
    """A row a point: its summary, and its time in each process. `place` is the study's directory below ours."""
    summary = data.summarize(points)
    tables = data.replicates(summary)
    times = [np.log(tables[key][impl].dropna().to_numpy()) for *key, impl in
             summary[data.GROUP + ["impl"]].itertuples(index=False, name=None) for key in [tuple(key)]]
    place = [Path(study).relative_to(directory).as_posix() for study in summary["study"]]
    return summary.assign(place=place, logs=times)


def compare(old, new):
    """A row a point of both runs: ratio new / old, its interval, p, whether the intervals of the two times meet."""
    rows = old.join(new, how="inner", lsuffix="_old", rsuffix="_new")
    if rows.empty:
        raise data.DataError("no point is in both; try two runs of one study")
    found = [welch(*pair) for pair in zip(rows["logs_old"], rows["logs_new"])]
    rows = rows.assign(**pd.DataFrame(found, columns=["ratio", "lo", "hi", "p"], index=rows.index))
    rows["agree"] = (rows["t_lo_s_old"] <= rows["t_hi_s_new"]) & (rows["t_lo_s_new"] <= rows["t_hi_s_old"])
    rows.loc[rows[["t_lo_s_old", "t_lo_s_new"]].isna().any(axis=1), "agree"] = np.nan
    return rows


def welch(old, new):
    """(ratio of the geometric means, low, high, p); no interval unless each side has two processes."""
    difference = new.mean() - old.mean()
    if min(len(old), len(new)) < 2:
        return np.exp(difference), np.nan, np.nan, np.nan
    parts = [side.var(ddof=1) / len(side) for side in (old, new)]
    spread = np.sqrt(sum(parts))
    if spread == 0:
        return *np.exp([difference] * 3), float(difference == 0)
    freedom = sum(parts) ** 2 / sum(part ** 2 / (len(side) - 1) for part, side in zip(parts, (old, new)))
    half = stats.t.ppf(0.975, freedom) * spread
    return *np.exp([difference, difference - half, difference + half]), 2 * stats.t.sf(abs(difference) / spread, freedom)


def print_rows(title, rows):
    if rows.empty:
        return
    print(f"\n{title}: {len(rows)}")
    for key, row in rows.sort_values("ratio", ascending=False).iterrows():
        place, *setting, problem, output, impl = key
        bracket = "no interval" if np.isnan(row["lo"]) else f"[{row['lo']:.3f} {row['hi']:.3f}] p {row['p']:.1e}"
        print(f"  {row['ratio']:.3f} {bracket}  {1e3 * row['t_median_s_old']:.4g} -> {1e3 * row['t_median_s_new']:.4g} ms"
              f"  {output} {impl} {problem} {data.setting_title(*setting)} {place}")


def run_of(points, which, directory):
    """(lines that say what the run is worth, its points: those of unusable settings without processes to judge by)."""
    found, lines = worth.opening(points, data.controls(points))
    rows = times_of(points, directory)
    usable = rows.index.isin(found.usable_rows(rows).index)
    rows["logs"] = [logs if good else logs[:1] for logs, good in zip(rows["logs"], usable)]
    return [f"{which}: {line}" for line in lines], rows.set_index(KEY)


def main():
    parser = worth.parser(__doc__.split("\n\n")[0])
    parser.add_argument("old", type=Path, help="what tripass run -o was given, or a directory above it")
    parser.add_argument("new", type=Path, help="the same study, measured again")
    parser.add_argument("--threshold", type=float, default=5, metavar="PERCENT",
                        help="how much slower is a regression (default: %(default)g)")
    options = parser.parse_args()
    if not options.threshold >= 0:
        raise data.DataError(f"--threshold={options.threshold}: not a percentage; try 5")
    both = data.read_points([options.old, options.new], together=True)
    old_lines, old = run_of(both[both["directory"] == 0], "old", options.old)
    new_lines, new = run_of(both[both["directory"] == 1], "new", options.new)
    print("\n".join(old_lines + new_lines))
    rows = compare(old, new)
    slower, faster = rows["lo"] > 1, rows["hi"] < 1
    worse = rows["lo"] > 1 + options.threshold / 100
    print(f"{len(rows)} points are in both runs, {len(old) - len(rows)} only in the old, {len(new) - len(rows)} only in "
          f"the new. Ratios are new time / old time.")
    print_rows(f"Slower by more than {options.threshold:g} %", rows[worse])
    print_rows("Slower, not surely beyond the threshold", rows[slower & ~worse])
    print_rows("Faster", rows[faster])
    tested = rows["p"].notna().sum()
    print(f"\nChanged: {(slower | faster).sum()} of {tested}; by chance about {0.05 * tested:.0f} would be. "
          f"Undecided, because a run had a single process or is unusable: {len(rows) - tested}.")
    known = rows["agree"].dropna().astype(bool)
    if len(known):
        print(f"The intervals of the two times meet in {known.sum()} of {len(known)} points "
              f"({100 * known.mean():.1f} %).")
    sys.exit(int(worse.any()))


if __name__ == "__main__":
    data.run(main)
