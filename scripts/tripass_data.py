"""Reads what `tripass run` recorded, and answers the two questions that every table and figure asks: how long did
a point take, and what is the ratio of two times worth?

A study is a directory that holds a points.csv (one row a point) and a samples.csv (one row a timed call).
SPDX-License-Identifier: Apache-2.0"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

PASSES = ["fwd", "bwd", "upd"]
SIZES = ["g", "mb", "ic", "ih", "iw", "oc", "oh", "ow", "kh", "kw", "sh", "sw", "ph", "pw", "dh", "dw"]
SETTING = ["study", "threads", "isa", "cache", "bias", "act"]  # numbers are compared only within one setting
ANY_THREADS = [column for column in SETTING if column != "threads"]
GROUP = SETTING + ["problem", "pass"]  # what was measured interleaved
NUMBERS = SIZES + ["mult", "threads", "rep", "n", "t_min_s", "t_median_s", "t_lo_s", "t_hi_s", "t_sgd_s", "gflops", "pct_peak",
                   "err_reference"]
TEXTS = ["impl", "family", "pass", "problem", "name", "isa", "cache", "status", "reason"]
PLAIN_LAYER = {"bias": "0", "act": "identity"}  # the convolution alone: all that there was before these columns
POINT = ["impl", "pass", "problem", "threads", "rep"]  # of one study
BASELINE = ["onednn", "onednn-plain"]
CONTROL = ":aa"  # tripass run --aa measures NAME a second time, as NAME:aa


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
            table[column] = pd.to_numeric(table[column].where(table[column] != ""))
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
            tables.append(pd.DataFrame(PLAIN_LAYER | dict(table), index=table.index).assign(study=str(file.parent)))
    points = pd.concat(tables, ignore_index=True)
    if points.empty:
        raise DataError(f"{files[0]}: holds no points")
    return points


def read_phases(points):
    """The rows of phases.csv (tripass run --phases) of those studies that have one, with what their points say of setting
    and layer; no rows if none has."""
    known = list(dict.fromkeys(POINT + SETTING + SIZES + ["name"]))
    numbers = ["t_s", "pct_run", "flop", "bytes"]
    tables = [pd.DataFrame(columns=known + numbers)]
    for study, rows in points.groupby("study", sort=False):
        path = Path(study) / "phases.csv"
        if path.exists():
            table = _read_csv(path, numbers + ["threads", "rep"], ["impl", "pass", "problem", "phase"])
            tables.append(table.merge(rows.drop_duplicates(POINT)[known], on=POINT, how="left"))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def summarize(points):
    """One row a measured (setting, problem, pass, impl), A/A controls left out: its OK repetitions together. The time
    is the median of the repetitions' medians; the interval reaches from the lowest end of theirs to the highest, and a
    repetition with too few samples for one of its own widens it to its median."""
    return _summarize(points[~points["impl"].str.endswith(CONTROL)])


def _summarize(points):
    points = points.drop_duplicates(GROUP + ["impl", "rep", "name"], keep="last")  # measured again: the last attempt
    good = points[(points["status"] == "OK") & points["t_median_s"].notna()]
    if good.empty:
        raise DataError("no point has status OK with a time; nothing to show")
    good = good.assign(work=good["gflops"] * good["t_median_s"])  # GFLOP of one run: turns a time into a rate
    how = {column: "first" for column in ["family", "name", "work"] + SIZES}
    how |= {column: "median" for column in ["t_median_s", "t_sgd_s", "pct_peak"]}
    how |= {"n": "sum", "t_lo_s": "min", "t_hi_s": "max", "err_reference": "max"}
    repetitions = good.groupby(GROUP + ["impl"], sort=False)
    summary = repetitions.agg(how)
    summary["t_lo_s"] = np.minimum(summary["t_lo_s"], repetitions["t_median_s"].min())  # NaN stays
    summary["t_hi_s"] = np.maximum(summary["t_hi_s"], repetitions["t_median_s"].max())
    summary = summary.reset_index()
    summary["t_sgd_s"] = summary["t_sgd_s"].fillna(0)  # only the weight update has a step
    layers = points.drop_duplicates(GROUP + ["name"])  # a network may have one problem under several names
    summary = summary.merge(layers.groupby(GROUP)["mult"].sum().reset_index(), on=GROUP)
    leading = points[points["name"] != ""].groupby(SETTING + ["mb"])["problem"].first()  # a network's first layer
    summary["first"] = pd.MultiIndex.from_frame(summary[SETTING + ["mb", "problem"]]).isin(
        list(leading.reset_index().itertuples(index=False, name=None)))
    summary["gflops"] = summary["work"] / summary["t_median_s"]
    summary["unpaid"] = _unpaid(points, summary)
    return summary


def _unpaid(points, summary):
    """For each row of the summary the implementations that the budget left out of its group in all processes."""
    left_out = points[(points["status"] == "SKIP") & points["reason"].str.contains("budget")]
    left_out = left_out.groupby(GROUP)["impl"].agg(set).to_dict()
    measured = summary.groupby(GROUP)["impl"].agg(set).to_dict()
    return [left_out.get(group, set()) - measured[group] for group in summary[GROUP].itertuples(index=False, name=None)]


def rivals(summary, names=tuple(BASELINE)):
    """The rows of these implementations of oneDNN. Of a group in which the budget left one of them out there is none:
    that one may be the best."""
    known = [unpaid.isdisjoint(names) for unpaid in summary["unpaid"]]
    return summary[summary["impl"].isin(names) & known]


def ceiling(rows):
    """The measured FMA ceiling in GFLOP/s that the rows' percentages refer to; NaN if none was recorded."""
    return (100 * rows["gflops"] / rows["pct_peak"]).median()


def replicates(summary):
    """{group: table} of times: a row a worker process, a column an implementation.

    The samples of one process share its memory and its minute, so they say little about the next process: it is the
    unit, and gives one time an implementation. Of its rounds, what disturbed all implementations together is taken out
    first, so that it cancels in a ratio. Where a study has no samples, the one row is the medians themselves."""
    tables = {}
    for study, rows in summary.groupby("study", sort=False):
        path = Path(study) / "samples.csv"
        samples = {}
        if path.exists():
            samples = _read_csv(path, ["threads", "rep", "round", "t_s"], ["impl", "pass", "problem"])
            samples = dict(list(samples.groupby(["threads", "problem", "pass"])))
        for group, points in rows.groupby(GROUP, sort=False):
            threads, problem, output = (group[GROUP.index(column)] for column in ("threads", "problem", "pass"))
            times = points.set_index("impl")["t_median_s"].to_frame().T
            if (threads, problem, output) in samples:
                times = _process_times(samples[threads, problem, output])[list(times.columns)]
            tables[group] = times
    return tables


def fastest(times):
    """The best time in each process, of columns of replicates(); none where one of oneDNN's is missing that others have:
    it may be the best."""
    return times.min(axis=1).mask(times.filter(like="onednn").isna().any(axis=1))


def _process_times(samples):
    if "attempt" in samples:  # of a point measured again only the last; its rounds are not those of the first attempt
        attempt = pd.to_numeric(samples["attempt"])
        samples = samples[attempt == attempt.groupby([samples["rep"], samples["impl"]]).transform("max")]
        samples = samples.assign(round=samples["round"] + attempt * (samples["round"].max() + 1))
    logs = np.log(samples.pivot_table(index=["rep", "round"], columns="impl", values="t_s", aggfunc="last"))
    shift = (logs - logs.groupby("rep").transform("median")).median(axis=1)  # of a round: that of all who ran in it
    return np.exp(logs.sub(shift, axis=0).groupby("rep").median())


def estimate(ratios):
    """What a ratio is worth, given each process's: (geometric mean, low, high). The 95 % interval is Student's, of the
    logarithms: of three values no rank interval holds the median with more than 75 %. Without a second process there
    is none: (ratio, nan, nan)."""
    logs = np.log(np.asarray(ratios, dtype=float))
    logs = logs[np.isfinite(logs)]
    if len(logs) < 2:
        return (np.exp(logs[0]) if len(logs) else np.nan), np.nan, np.nan
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return tuple(np.exp(logs.mean() + np.array([0, -half, half])))


def controls(points):
    """The A/A controls: a row a problem, pass and implementation that was measured twice, with the ratio of its two
    times, whose truth is 1, and whether the interval calls a difference all the same."""
    doubled = {impl.removesuffix(CONTROL) for impl in points["impl"] if impl.endswith(CONTROL)}
    rows = points[points["impl"].str.removesuffix(CONTROL).isin(doubled)]
    found = []
    if len(rows) and (rows["status"] == "OK").any():
        for group, times in replicates(_summarize(rows)).items():
            for impl in sorted(impl for impl in doubled if {impl, impl + CONTROL} <= set(times)):
                ratio, low, high = estimate(times[impl + CONTROL] / times[impl])
                found.append(dict(zip(GROUP, group), impl=impl, ratio=ratio, lo=low, hi=high,
                                  called=not (low <= 1 <= high) and not np.isnan(low)))
    return pd.DataFrame(found, columns=GROUP + ["impl", "ratio", "lo", "hi", "called"])


def noise_floor(controls):
    """{setting: floor >= 1}: 95 % of the A/A ratios are nearer to 1 than floor (of fewer than 20: all). A difference
    below it is no win, whatever its interval says. A setting without controls is not in it."""
    away = np.exp(np.log(controls["ratio"].astype(float)).abs())
    return away.groupby([controls[column] for column in SETTING]).quantile(0.95, interpolation="higher").to_dict()


def is_win(ratio, low, floor=1.0):
    """Whether a ratio is above 1 beyond its interval and beyond the noise floor. NaN is not."""
    return bool(low > 1 and ratio > floor)


def floor_text(controls, setting):
    """One line for below a table."""
    rows = controls[(controls[SETTING] == setting).all(axis=1)]
    if rows.empty:
        return "No A/A control was measured (tripass run --aa), so the noise floor is not known."
    floor = noise_floor(rows)[setting]
    return (f"A/A control: {len(rows)} points measured twice, {rows['called'].sum()} called different by their interval; "
            f"noise floor {100 * (floor - 1):.1f} %: no smaller difference counts.")


def scaling(summary):
    """The fastest implementation of each problem, pass and thread count, where a study has several thread counts:
    `speedup` over the time at the smallest count (whoever is fastest there), and `efficiency`, speedup per thread."""
    one = ANY_THREADS + ["problem", "pass"]
    best = summary.loc[summary.groupby(GROUP)["t_median_s"].idxmin()].sort_values(one + ["threads"])
    groups = best.groupby(one)
    best = best.assign(speedup=groups["t_median_s"].transform("first") / best["t_median_s"],
                       more_threads=best["threads"] / groups["threads"].transform("first"))
    best["efficiency"] = best["speedup"] / best["more_threads"]
    return best[groups["threads"].transform("nunique") > 1]


def beside(bias, act):
    """What a layer has beside its convolution."""
    return ["bias"] * (bias != PLAIN_LAYER["bias"]) + [act] * (act != PLAIN_LAYER["act"])


def setting_title(threads, isa, cache, bias, act):
    """A setting without its study in a few words; no threads: without their count."""
    counted = [f"{threads:.0f} thread{'s' if threads > 1 else ''}"] if threads else []
    layer = ["with " + " and ".join(beside(bias, act))] if beside(bias, act) else []
    return ", ".join(counted + [isa, f"{cache} caches"] + layer)


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
