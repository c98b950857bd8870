"""Reads what `tripass run` recorded, and answers the two questions that every table and figure asks: how long did
a point take, and what is the ratio of two times worth?

A study is a directory that holds a points.csv (one row a point) and a samples.csv (one row a timed call).
SPDX-License-Identifier: Apache-2.0"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

PASSES = ["fwd", "bwd", "upd"]
SIZES = ["g", "mb", "ic", "ih", "iw", "oc", "oh", "ow", "kh", "kw", "sh", "sw", "ph", "pw", "dh", "dw"]
SETTING = ["study", "threads", "isa", "cache"]  # numbers are compared only within one setting
GROUP = SETTING + ["problem", "pass"]  # what was measured interleaved
NUMBERS = SIZES + ["mult", "threads", "rep", "n", "t_min_s", "t_median_s", "t_lo_s", "t_hi_s", "gflops", "pct_peak"]
TEXTS = ["impl", "family", "pass", "problem", "name", "isa", "cache", "status"]
BASELINE = ["onednn", "onednn-plain"]
REPLICATES = 1000  # bootstrap; the ends of a 95 % interval are then its 25th and 976th values
FEWEST_CALLS = 6  # with fewer even the whole range covers a median with less than 95 %


class DataError(Exception):
    """What is wrong with the input, in one line."""


def run(main):
    """Runs main(); bad data is one line on stderr and status 2."""
    try:
        main()
    except DataError as error:
        sys.exit(_complain(str(error)))
    except BrokenPipeError:  # the reader of our table has seen enough
        sys.stderr.close()


def _complain(message):
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    return 2


def _read_csv(path, numbers, texts):
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from None
    missing = [column for column in numbers + texts if column not in table]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; is it a file that tripass wrote?")
    for column in numbers:
        try:
            table[column] = pd.to_numeric(table[column].replace("", np.nan))
        except ValueError as error:
            raise DataError(f"{path}: column {column}: {error}") from None
    return table


def read_points(directories):
    """All rows of all studies in or below the directories; `study` is the directory that a row comes from."""
    tables = []
    for directory in map(Path, directories):
        files = sorted(directory.rglob("points.csv"))
        if not files:
            raise DataError(f"{directory}: no points.csv here or below; try the directory given to tripass run -o")
        for file in files:
            table = _read_csv(file, NUMBERS, TEXTS)
            tables.append(table.assign(study=str(file.parent)))
    points = pd.concat(tables, ignore_index=True)
    if points.empty:
        raise DataError(f"{files[0]}: holds no points")
    return points


def summarize(points):
    """One row a measured (setting, problem, pass, impl): its OK repetitions together. The time is the median of
    the repetitions' medians; the interval reaches from the lowest end of theirs to the highest."""
    good = points[(points["status"] == "OK") & points["t_median_s"].notna()]
    if good.empty:
        raise DataError("no point has status OK with a time; nothing to show")
    how = {column: "first" for column in ["family", "name"] + SIZES}
    how |= {column: "median" for column in ["t_median_s", "gflops", "pct_peak"]}
    how |= {"n": "sum", "t_lo_s": "min", "t_hi_s": "max"}
    summary = good.groupby(GROUP + ["impl"], sort=False).agg(how).reset_index()
    layers = points.drop_duplicates(GROUP + ["name"])  # a network may have one problem under several names
    summary = summary.merge(layers.groupby(GROUP)["mult"].sum().reset_index(), on=GROUP)
    summary["work"] = summary["gflops"] * summary["t_median_s"]  # GFLOP of one run: turns a time into a rate
    return summary


def ceiling(rows):
    """The measured FMA ceiling in GFLOP/s that the rows' percentages refer to; NaN if none was recorded."""
    return (100 * rows["gflops"] / rows["pct_peak"]).median()


def replicates(summary):
    """{group: table} of bootstrapped median times: a row a replicate, a column an implementation.

    A replicate draws repetitions (worker processes), then rounds within each; a round is drawn with all its
    implementations, so that what disturbed them together cancels in their ratio. Where a study has no samples,
    the one row is the medians themselves."""
    tables = {}
    random = np.random.default_rng(1)
    for study, rows in summary.groupby("study", sort=False):
        path = Path(study) / "samples.csv"
        samples = None
        if path.exists():
            samples = _read_csv(path, ["threads", "rep", "round", "t_s"], ["impl", "pass", "problem"])
            samples = dict(list(samples.groupby(["threads", "problem", "pass"])))
        for group, points in rows.groupby(GROUP, sort=False):
            _, threads, _, _, problem, output = group
            times = points.set_index("impl")["t_median_s"].to_frame().T
            if samples and (threads, problem, output) in samples:
                times = _bootstrap(samples[threads, problem, output], list(times.columns), random)
            tables[group] = times
    return tables


def _bootstrap(samples, impls, random):
    rounds = samples.pivot_table(index=["rep", "round"], columns="impl", values="t_s", aggfunc="first")
    reps = [table.to_numpy() for _, table in rounds.reindex(columns=impls).groupby(level="rep")]
    counts = np.array([len(rep) for rep in reps])
    cube = np.full((len(reps), counts.max() + 1, len(impls)), np.nan)  # last round: none, for a short repetition
    for index, rep in enumerate(reps):
        cube[index, :len(rep)] = rep
    rep = random.integers(len(reps), size=(REPLICATES, len(reps), 1))
    drawn = (random.random((REPLICATES, len(reps), counts.max())) * counts[rep]).astype(int)
    drawn = np.where(np.arange(counts.max()) < counts[rep], drawn, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a draw may hold no call of an implementation
        return pd.DataFrame(np.nanmedian(np.nanmedian(cube[rep, drawn], axis=2), axis=1), columns=impls)


def interval(values, calls):
    """95 % percentile interval of bootstrapped values, behind which stand at the least `calls` timed calls an
    implementation. (nan, nan) where there is none: without samples, or below 6 calls, as for a median."""
    if len(values) < 2 or calls < FEWEST_CALLS:
        return np.nan, np.nan
    return tuple(np.nanpercentile(values, [2.5, 97.5]))


def size_label(row):
    """A layer in a few words: channels, image, kernel, what is not plain."""
    def pair(a, b):
        return f"{a:.0f}" if a == b else f"{a:.0f}x{b:.0f}"
    channels = f"{row.ic:.0f}" if row.ic == row.oc else f"{row.ic:.0f}-{row.oc:.0f}"
    label = f"{channels} @{pair(row.ih, row.iw)} k{pair(row.kh, row.kw)}"
    label += f" s{pair(row.sh, row.sw)}" if (row.sh, row.sw) != (1, 1) else ""
    label += f" d{pair(row.dh, row.dw)}" if (row.dh, row.dw) != (0, 0) else ""
    label += f" g{row.g:.0f}" if row.g != 1 else ""
    return label
