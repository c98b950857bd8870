"""Reads what `tripass run` recorded, and answers the two questions that every table and figure asks: how long did
a point take, and what is the ratio of two times worth?

A study is a directory that holds a points.csv (one row a point) and a samples.csv (one row a timed call).
SPDX-License-Identifier: Apache-2.0"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

PASSES = ["fwd", "bwd", "upd"]
SIZES = ["g", "mb", "ic", "ih", "iw", "oc", "oh", "ow", "kh", "kw", "sh", "sw", "ph", "pw", "dh", "dw"]
SETTING = ["study", "threads", "isa", "cache", "bias", "act", "state"]  # numbers are compared only within one setting
ANY_THREADS = [column for column in SETTING if column not in ("threads", "state")]
GROUP = SETTING + ["problem", "pass"]  # what was measured interleaved
NUMBERS = SIZES + ["mult", "threads", "rep", "n", "t_min_s", "t_median_s", "t_lo_s", "t_hi_s", "t_sgd_s", "gflops", "pct_peak",
                   "err_reference"]
TEXTS = ["impl", "family", "pass", "problem", "name", "isa", "cache", "status", "reason"]
PLAIN_LAYER = {"bias": "0", "act": "identity"}  # the convolution alone: all that there was before these columns
POINT = ["impl", "pass", "problem", "threads", "rep"]  # of one study
BASELINE = ["onednn", "onednn-plain"]
CONTROL = ":aa"  # tripass run --aa measures NAME a second time, as NAME:aa
FAILURES = ["FAIL", "CRASH", "TIMEOUT"]
STATES = {"near": "cores near each other", "far": "cores far apart"}
FAR = 2.5  # times the nearest: seen were 51 to 62 ns and 310 to 740 ns on one virtual machine; 2.5 is in the middle
# of the ratios 62/51 and 310/51, on a log scale (1.2 * 6.1)**0.5


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


def read_points(directories, together=False):
    """All rows of all studies in or below the directories, in their order. Beside what tripass wrote: `study`, the directory
    that a row comes from, `directory`, the number of the given one above it, `row`, its number, `ceiling`, the study's best FMA probe at these threads, `valid`, the share of
    the operations that is not with the zeros of the padding, and `state` of the cores (see with_states; together: the studies are runs on one machine)."""
    tables = []
    for number, directory in enumerate(map(Path, directories)):
        files = sorted(directory.rglob("points.csv"))
        if not files:
            raise DataError(f"{directory}: no points.csv here or below; try the directory given to tripass run -o")
        for file in files:
            table = _read_csv(file, NUMBERS, TEXTS)
            tables.append(pd.DataFrame(PLAIN_LAYER | dict(table), index=table.index).assign(
                study=str(file.parent), directory=number))
    points = pd.concat(tables, ignore_index=True)
    if points.empty:
        raise DataError(f"{files[0]}: holds no points")
    attempt = pd.to_numeric(points["attempt"]).fillna(0) if "attempt" in points else 0
    flags = points["flags"] if "flags" in points else np.nan
    valid = pd.to_numeric(points["flop_valid"]) / pd.to_numeric(points["flop"]) if "flop_valid" in points else 1.0
    points = points.assign(row=points.index, ceiling=_ceilings(points), attempt=attempt, flags=flags, valid=valid)
    return with_states(points, {study: read_handoffs(study) for study in points["study"].unique()}, together)


def read_machine(study):
    """machine.json of a study; empty if it has none."""
    path = Path(study) / "machine.json"
    try:
        return json.loads(path.read_text())
    except OSError:
        return {}
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}; is it a file that tripass wrote?") from None


def _ceilings(points):
    """For each row the best FMA probe of its study, thread count and instruction set, in GFLOP/s: that of machine.json or
    of any round. A disturbed probe is too low, never too high, so the best is the bound. NaN where there is none."""
    key = ["study", "threads", "isa"]
    best = (100 * points["gflops"] / points["pct_peak"]).groupby([points[column] for column in key]).max().to_dict()
    for study in points["study"].unique():
        machine = read_machine(study)
        for found in [machine, *machine.get("parts", [])]:
            for probe in found.get("ceilings", []):
                for isa, rate in probe.get("fma_gflops", {}).items():
                    place = study, probe["threads"], isa
                    best[place] = np.fmax(best.get(place, np.nan), rate)
    return [best.get(place, np.nan) for place in points[key].itertuples(index=False, name=None)]


def read_handoffs(study):
    """The rows of samples.csv with `handoff_ns`, what a cache line took between the cores in the sample's round, or if that
    probe failed in the one before; None if the study did not record it."""
    path = Path(study) / "samples.csv"
    if not path.exists():
        return None
    with path.open(errors="replace") as file:
        if "handoff_ns" not in file.readline():
            return None
    samples = _read_csv(path, ["threads", "rep", "round", "t_s", "handoff_ns"], ["impl", "pass", "problem"])
    samples["attempt"] = pd.to_numeric(samples["attempt"]) if "attempt" in samples else 0
    known = samples.groupby(["threads", "rep"])["handoff_ns"].ffill()  # states last for seconds, rounds for milliseconds
    return samples.assign(handoff_ns=known.groupby([samples["threads"], samples["rep"]]).bfill())


def with_states(points, handoffs, together=False):
    """The rows with the column `state`: "near" while a cache line takes at most FAR times the smallest median of a point
    of the study at that thread count (of all studies, if together), else "far"; "" where that was not recorded, as with
    one thread. A point in whose rounds both were met becomes two rows, each with the times of its own rounds: the two
    are never pooled. So few rounds of one state that they cannot move the median's interval (harness/handoff.h) make no
    row. A row without a time says something of either state, and stands in each that the study met."""
    key, parts = POINT + ["attempt"], []
    handoffs = {study: samples for study, samples in handoffs.items() if samples is not None}
    bases = {study: samples.groupby(key)["handoff_ns"].median().groupby("threads").min()
             for study, samples in handoffs.items()}
    for study, samples in handoffs.items():
        base = samples["threads"].map(pd.concat(bases.values()).groupby("threads").min() if together else bases[study])
        samples = samples.assign(state=state_of(samples["handoff_ns"], base), handoff_base_ns=base)
        times = samples.groupby(key + ["state", "handoff_base_ns"], dropna=False)["t_s"]
        found = times.apply(_describe).unstack().reset_index().assign(study=study)
        least = found.groupby(key)["n"].transform("sum").map(_rank)
        parts.append(found[found["n"] >= least])
    if not parts:
        return points.assign(state="", handoff_base_ns=np.nan)
    parts = pd.concat(parts, ignore_index=True)
    met = parts[["study", "threads", "state"]].drop_duplicates()
    timed = points.merge(parts, on=["study"] + key, suffixes=("", "_part"))
    split = timed["row"].duplicated(keep=False)
    for column in ("n", "t_min_s", "t_median_s", "t_lo_s", "t_hi_s"):
        if column == "t_median_s":
            slower = timed["t_median_s_part"] / timed["t_median_s"]
            for rate in ("gflops", "pct_peak"):
                timed[rate] = timed[rate].where(~split, timed[rate] / slower)
        timed[column] = timed[column].where(~split, timed[f"{column}_part"])
    others = points[~points["row"].isin(timed["row"])].merge(met, on=["study", "threads"], how="left")
    timed = timed[[column for column in timed if not column.endswith("_part")]]
    found = pd.concat([timed, others]).sort_values("row", kind="stable", ignore_index=True)
    return found.assign(state=found["state"].fillna(""))


def state_of(handoff_ns, base_ns):
    return np.where(handoff_ns <= FAR * base_ns, "near", np.where(handoff_ns.isna(), "", "far"))


def _rank(n):
    """Of the lower end of the median's 95 % interval among n sorted times; 0: n is too few."""
    return int(stats.binom.ppf(0.025, n, 0.5))


def _describe(times):
    """What points.csv says of a series of times; the interval as harness/stats.c has it, of ranks."""
    times = np.sort(times.to_numpy())
    rank = _rank(len(times))
    low, high = (times[rank - 1], times[-rank]) if rank else (np.nan, np.nan)
    return pd.Series({"n": len(times), "t_min_s": times[0], "t_median_s": np.median(times), "t_lo_s": low, "t_hi_s": high})


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
    repetition with too few samples for one of its own widens it to its median. `flags` are those of all repetitions;
    `unmeasured` names who could be as fast but has no time. Settings stand in the order of points.csv, of the two
    states of the cores first the one that more calls met; layers in the order of the first process."""
    return _summarize(points[~points["impl"].str.endswith(CONTROL)])


def last_attempts(points):
    return points.drop_duplicates(GROUP + ["impl", "rep", "name"], keep="last")


def _summarize(points):
    points = last_attempts(points)  # measured again: the last attempt
    good = points[(points["status"] == "OK") & points["t_median_s"].notna()]
    if good.empty:
        raise DataError("no point has status OK with a time; nothing to show")
    good = good.assign(work=good["gflops"] * good["t_median_s"])  # GFLOP of one run: turns a time into a rate
    how = {column: "first" for column in ["family", "name", "work", "ceiling", "valid", "handoff_base_ns"] + SIZES}
    how |= {column: "median" for column in ["t_median_s", "t_sgd_s"]}
    how |= {"n": "sum", "t_lo_s": "min", "t_hi_s": "max", "err_reference": "max", "flags": _all_flags}
    repetitions = good.groupby(GROUP + ["impl"], sort=False)
    summary = repetitions.agg(how)
    summary["t_lo_s"] = np.minimum(summary["t_lo_s"], repetitions["t_median_s"].min())  # NaN stays
    summary["t_hi_s"] = np.maximum(summary["t_hi_s"], repetitions["t_median_s"].max())
    summary = summary.reset_index()
    summary["t_sgd_s"] = summary["t_sgd_s"].fillna(0)  # only the weight update has a step
    layers = points.drop_duplicates(GROUP + ["name"])  # a network may have one problem under several names
    summary = summary.merge(layers.groupby(GROUP)["mult"].sum().reset_index(), on=GROUP)
    network = [column for column in SETTING if column != "state"] + ["mb"]
    leading = points[points["name"] != ""].groupby(network)["problem"].first()  # a network's first layer
    summary["first"] = pd.MultiIndex.from_frame(summary[network + ["problem"]]).isin(
        list(leading.reset_index().itertuples(index=False, name=None)))
    summary["gflops"] = summary["work"] / summary["t_median_s"]
    summary["pct_ceiling"] = 100 * summary["gflops"] / summary["ceiling"]
    summary["unpaid"] = _without_time(points, summary, (points["status"] == "SKIP") & points["reason"].str.contains("budget"))
    summary["unmeasured"] = [unpaid | broken for unpaid, broken in zip(
        summary["unpaid"], _without_time(points, summary, points["status"].isin(["CRASH", "TIMEOUT"])))]
    return _in_order(points, summary)


def _all_flags(flags):
    return " ".join(sorted(set(" ".join(flags.dropna()).split())))


def _in_order(points, summary):
    """Settings as they come, the main state first; in each the layers as the study's first process has them."""
    first = points[points["rep"] == points.groupby("study")["rep"].transform("min")]
    place = pd.concat([first, points]).drop_duplicates(["study", "problem"]).reset_index(drop=True)
    place = {key: index for index, key in enumerate(place[["study", "problem"]].itertuples(index=False, name=None))}
    any_state = [column for column in SETTING if column != "state"]
    weight = summary.groupby(SETTING)["n"].transform("sum")
    return summary.assign(setting=summary.groupby(any_state, sort=False).ngroup(), weight=-weight,
                          far=summary["state"] == "far",
                          place=[place[key] for key in summary[["study", "problem"]].itertuples(index=False, name=None)]
                          ).sort_values(["setting", "weight", "far", "place"], kind="stable", ignore_index=True
                                        ).drop(columns=["setting", "weight", "far", "place"])


def main_states(summary):
    """Of each setting the rows of the state of the cores that more calls met: what can be put beside other thread counts."""
    first = summary.drop_duplicates([column for column in SETTING if column != "state"])
    return summary.merge(first[SETTING], on=SETTING)


def _without_time(points, summary, which):
    """For each row of the summary the implementations of its group that have such a row, but no time in any process."""
    lost = points[which].groupby(GROUP)["impl"].agg(set).to_dict()
    measured = summary.groupby(GROUP)["impl"].agg(set).to_dict()
    return [lost.get(group, set()) - measured[group] for group in summary[GROUP].itertuples(index=False, name=None)]


def rivals(summary, names=tuple(BASELINE)):
    """The rows of these implementations of oneDNN. Of a group in which the budget left one of them out there is none:
    that one may be the best."""
    known = [unpaid.isdisjoint(names) for unpaid in summary["unpaid"]]
    return summary[summary["impl"].isin(names) & known]


def ceiling(rows):
    """The FMA ceiling in GFLOP/s of rows of a summary: the best probe of their study; NaN if none was recorded."""
    return rows["ceiling"].max()


def above_ceiling(rows):
    """Which rows are faster than the ceiling although they save no multiplications but those with the padding: their time
    is wrong, or all probes of the ceiling were disturbed. Of 6,807 points under results/ there is none."""
    saves = (rows["family"] == "winograd") | (rows["impl"] == "onednn-winograd")
    return (rows["valid"] * rows["pct_ceiling"] > 100) & ~saves


def replicates(summary):
    """{group: table} of times: a row a worker process (of those of its rounds that met the group's state of the cores), a
    column an implementation.

    The samples of one process share its memory and its minute, so they say little about the next process: it is the
    unit, and gives one time an implementation. Of its rounds, what disturbed all implementations together is taken out
    first, so that it cancels in a ratio. Where a study has no samples, the one row is the medians themselves."""
    tables = {}
    for study, rows in summary.groupby("study", sort=False):
        path = Path(study) / "samples.csv"
        samples, key = {}, ["threads", "problem", "pass", "state"]
        if path.exists():
            samples = read_handoffs(study)
            if samples is None:
                samples = _read_csv(path, ["threads", "rep", "round", "t_s"], ["impl", "pass", "problem"]).assign(state="")
            else:
                base = rows.groupby("threads")["handoff_base_ns"].first()
                samples["state"] = state_of(samples["handoff_ns"], samples["threads"].map(base))
            samples = dict(list(samples.groupby(key)))
        for group, points in rows.groupby(GROUP, sort=False):
            place = tuple(group[GROUP.index(column)] for column in key)
            times = points.set_index("impl")["t_median_s"].to_frame().T
            if place in samples:
                times = _process_times(samples[place])[list(times.columns)]
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
    logarithms. Without a second process there is none: (ratio, nan, nan).

    Assumed is that processes are independent and their logarithms not too far from normal. With the variances of the
    recorded studies (between processes 3 to 8 % of a ratio, between samples of one process 3 to 7 %, both also with
    the tails of a t of 3 degrees of freedom) 95 to 96 % of the intervals hold the truth, for any number of processes
    (tests/test_verdicts.py, Intervals). Their half width is 10.9 % for 3 processes of 30 samples and 4.5 % for 8 of
    10, which cost as much: what differs between processes does not shrink with samples, and t is 2.4 instead of 4.3.
    Measured on A/A pairs, 3 studies each in turns: 4 to 12 % for 3 x 30, 3 to 5 % for 8 x 10, of 144 pairs 4 and 5
    called different. Sharing one variance among the points of a study (moderated t) would gain 7 to 13 % of that
    width with 8 processes, but hold the truth in only 84 to 91 % of the noisiest tenth of the points."""
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
            f"noise floor {percent(floor)} %: no smaller difference counts.")


def percent(floor):
    """Of a ratio: 31.0 of 1.31; no digits where none is worth reading."""
    return f"{100 * (floor - 1):.1f}" if floor <= 2 else "above 100"


def scaling(summary):
    """The fastest implementation of each problem, pass and thread count, where a study has several thread counts, among
    those that have a time at all of them: `speedup` over the time at the smallest count (whoever is fastest there), and
    `efficiency`, speedup per thread. None where a candidate was not measured, because that one may be the fastest."""
    one = ANY_THREADS + ["problem", "pass"]
    rows = main_states(summary)
    complete = rows["unmeasured"].map(len).groupby([rows[column] for column in one]).transform("max") == 0
    rows = rows[complete]
    counts = rows.groupby(one)["threads"].transform("nunique")
    rows = rows[(counts > 1) & (rows.groupby(one + ["impl"])["threads"].transform("nunique") == counts)]
    best = rows.loc[rows.groupby(GROUP, sort=False)["t_median_s"].idxmin()].sort_values("threads", kind="stable")
    groups = best.groupby(one)
    best = best.assign(speedup=groups["t_median_s"].transform("first") / best["t_median_s"],
                       more_threads=best["threads"] / groups["threads"].transform("first"))
    best["efficiency"] = best["speedup"] / best["more_threads"]
    return best


def beside(bias, act):
    """What a layer has beside its convolution."""
    return ["bias"] * (bias != PLAIN_LAYER["bias"]) + [act] * (act != PLAIN_LAYER["act"])


def thread_count(threads):
    return f"{threads:.0f} thread{'s' if threads > 1 else ''}"


def setting_title(threads, isa, cache, bias, act, state=""):
    """A setting without its study in a few words; no threads: without their count."""
    counted = [thread_count(threads)] if threads else []
    layer = ["with " + " and ".join(beside(bias, act))] if beside(bias, act) else []
    return ", ".join(counted + [isa, f"{cache} caches"] + layer + ([STATES[state]] if state else []))


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
