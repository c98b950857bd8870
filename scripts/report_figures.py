"""The figures of the report, as plain data that page/report.js hands to the charting library: a figure is a list of
panels, a panel a list of series (one an implementation) and of guides (ceilings, the line where both are equal).
SPDX-License-Identifier: Apache-2.0"""

import math

import numpy as np
import pandas as pd

import drawing
import tripass_data as data

LOWEST_ROOF = 0.01
LONGEST_BAR = 8  # times the fastest run: what takes longer would leave the others no room
PHASES = {"input": "sky", "weights": "orange", "run": "black", "multiply": "blue", "output": "green", "reduce": "purple",
          "bias-act": "red", "rest": "gray"}  # colors, in the order in which a run has them


def figure(kind, title, caption, panels, x, y, rows, **how):
    """rows: the rows of points.csv (or how's `file`) behind it, by number."""
    return {"kind": kind, "title": title, "caption": caption, "panels": panels, "x": x, "y": y,
            "rows": sorted(set(rows)), "file": "points.csv", "keys": {}} | how


def axis(label, **how):
    """how: log, min, max, ticks (those values only), names (a text for each tick)."""
    return {"label": label} | how


def powers(base, values):
    """The powers of base from just below the least of the values to just above the greatest."""
    finite = [value for value in values if value > 0 and math.isfinite(value)]
    low, high = (math.log(end(finite), base) for end in (min, max))
    return [float(base) ** power for power in range(math.floor(low + 1e-9), math.ceil(high - 1e-9) + 1)]


def plain(value):
    return f"1/{1 / value:g}" if value < 1 else f"{value:g}"


def power_of_ten(value):
    return "10" + str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def span(low, high, form=".0f"):
    return "" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]"


def describe(row):
    """What hovering shows of a measured point."""
    rate = f"{row.gflops:.1f} GFLOP/s" + span(row.work / row.t_hi_s, row.work / row.t_lo_s, ".1f")
    return [row.impl, f"{row.name_} {data.size_label(row)}, batch {row.mb:.0f}".strip(), rate,
            f"{1e3 * row.t_median_s:.4g} ms" + span(1e3 * row.t_lo_s, 1e3 * row.t_hi_s, ".4g"),
            "" if math.isnan(row.pct_ceiling) else f"{row.pct_ceiling:.0f} % of the FMA ceiling", f"n = {row.n:.0f}", *([f"noise: {row.flags}"] if row.flags else [])]


def named_tuples(rows):
    """Tuples cannot have a member `pass`, and those of pandas mean something else by `name`: pass_ and name_."""
    return rows.rename(columns={"name": "name_", "pass": "pass_"}).itertuples()


def series(panel, point, line):
    """[one series an implementation]: point(row) -> its dictionary."""
    return [{"impl": impl, "line": line,
             "points": [point(row) for row in named_tuples(panel[panel["impl"] == impl])]}
            for impl in drawing.listing_order(panel["impl"].unique())]


def interval(row):
    """The ends of a point's throughput; none where there were too few calls."""
    if math.isnan(row.t_lo_s):
        return {}
    return {"lo": row.work / row.t_hi_s, "hi": row.work / row.t_lo_s}


def throughput(study, rows):
    """Over channels and over batch: a figure a series that the study measured."""
    for setting, group in rows.groupby(data.SETTING, sort=False):
        for size, tied, label in drawing.SWEEPS:
            for first, swept in drawing.sweeps(group, size, tied):
                swept = swept.sort_values(size)
                sizes = sorted(swept[size].unique())
                panels = []
                for output in drawing.passes_of(swept):
                    panel = swept[swept["pass"] == output]
                    top = data.ceiling(group)
                    panels.append({
                        "title": drawing.TITLES[output],
                        "series": series(panel, lambda row: {"x": getattr(row, size), "y": row.gflops,
                                                             "text": describe(row)} | interval(row), True),
                        "guides": ceiling_guides(sizes[0], sizes[-1], top)})
                yield figure(
                    "throughput", f"Throughput over {label}",
                    f"{drawing.sweep_title(first, size)}; {data.setting_title(*setting[1:])}. Medians, "
                    "bars: 95 % intervals. Effective: nominal operations by time, so Winograd may pass the ceiling.",
                    panels, axis(label, log=True, ticks=sizes, min=sizes[0] / 1.1, max=sizes[-1] * 1.1),
                    axis("effective GFLOP/s", min=0, max=headroom(swept)), study.rows_of(swept))


def headroom(rows):
    """The end of an axis for all panels: above all intervals, unless those of noisy points dwarf the rest."""
    highest = rows["gflops"].max()
    ends = (rows["work"] / rows["t_lo_s"]).fillna(0)
    step = 10 ** math.floor(math.log10(highest)) / 2
    return math.ceil(min(max(highest, ends.max()), 1.25 * highest) / step) * step


def ceiling_guides(left, right, top):
    """The line of the ceiling, if there is one."""
    return [] if math.isnan(top) else [{"points": [[left, top], [right, top]], "label": f"FMA ceiling {top:.0f}"}]


def verdict(study, compared, against):
    """Every layer and pass a point: how many times faster ours is."""
    passes = [output for output in data.PASSES[::-1] if (compared["pass"] == output).any()]
    winners = compared["ours"].where(compared["ratio"] >= 1, compared["theirs"])
    rows = compared.assign(impl=winners, place=compared["pass"].map(passes.index))
    # Points of one pass are spread over its band by the golden ratio, so that equal ratios do not hide each other.
    rows["place"] += (np.arange(len(rows)) * 0.618 % 1 - 0.5) * 0.7

    def point(row):
        return {"x": row.ratio, "y": row.place, "open": row.outcome in ("tie", "unknown"), "text": [
            row.layer + f", batch {row.mb:.0f}", f"{drawing.TITLES[row.pass_]}: {row.ratio:.2f}x"
            + span(row.lo, row.hi, ".2f"), f"{row.ours} {1e3 * row.t_ours_s:.4g} ms",
            f"{row.theirs} {1e3 * row.t_theirs_s:.4g} ms", OUTCOMES[row.outcome]]}
    ticks = powers(2, [*rows["ratio"], 0.5, 2])
    panel = {"title": "", "series": series(rows, point, False),
             "guides": [{"points": [[1, -0.5], [1, len(passes) - 0.5]], "label": ""}]}
    caption = (f"Each point is a layer and pass, colored by the fastest implementation. Right of the line ours is "
               f"faster than the best of {against}, left of it slower; hollow of ours: a tie, or no interval to tell.")
    names = [drawing.TITLES[output] for output in passes]
    return figure("verdict", f"Times faster than {against}", caption, [panel],
                  axis("times faster (log scale)", log=True, ticks=ticks, names=[plain(t) for t in ticks],
                       min=ticks[0], max=ticks[-1]),
                  axis("", ticks=list(range(len(passes))), names=names, min=-0.5, max=len(passes) - 0.5),
                  study.rows_of(compared))


OUTCOMES = {"faster": "faster beyond interval and noise floor", "slower": "slower beyond interval and noise floor",
            "tie": "a tie: within the interval or the noise floor", "unknown": "one process only: no interval"}


def compulsory_bytes(rows):
    """Each plain tensor once: two read, one written."""
    src = rows["mb"] * rows["ic"] * rows["ih"] * rows["iw"]
    wei = rows["oc"] * rows["ic"] / rows["g"] * rows["kh"] * rows["kw"]
    return 4 * (src + wei + rows["mb"] * rows["oc"] * rows["oh"] * rows["ow"])


def roofline(study, rows):
    for setting, group in rows.groupby(data.SETTING[1:], sort=False):
        top, bandwidths = data.ceiling(group), study.roofs(group["study"].iloc[0], *setting[:2])
        # Below a hundredth of the ceiling are only the definition and the explicit matrices, far from any roof.
        group = group.assign(intensity=1e9 * group["work"] / compulsory_bytes(group))
        group = group[group["gflops"] >= LOWEST_ROOF * top]
        if group.empty:
            continue
        ridges = [top / bandwidth for bandwidth in bandwidths.values()]
        ticks = powers(4, [*group["intensity"], *[ridge / 2 for ridge in ridges]])
        rates = powers(10, [LOWEST_ROOF * top, *group["gflops"], top])
        guides = ceiling_guides(ticks[0], ticks[-1], top)
        for (level, bandwidth), ridge in zip(bandwidths.items(), ridges):
            left = max(ticks[0], rates[0] / bandwidth)
            guides.append({"points": [[left, left * bandwidth], [ridge, top]], "label": f"{level} {bandwidth:.0f} GB/s",
                           "below": True})
        panels = [{"title": drawing.TITLES[output], "guides": guides, "series": series(
            group[group["pass"] == output],
            lambda row: {"x": row.intensity, "y": row.gflops,
                         "text": describe(row) + [f"{row.intensity:.3g} FLOP/B"]}, False)}
            for output in drawing.passes_of(group)]
        yield figure(
            "roofline", "Roofline",
            f"{data.setting_title(*setting)}. Intensity: nominal operations by compulsory bytes (each "
            "tensor once), so the true traffic may be higher. The roofs are measured. Points below a hundredth of the "
            "ceiling are left out.",
            panels, axis("FLOP per compulsory byte", log=True, ticks=ticks, names=[plain(t) for t in ticks],
                         min=ticks[0], max=ticks[-1]),
            axis("effective GFLOP/s", log=True, ticks=rates, min=rates[0], max=rates[-1]), study.rows_of(group))


def accuracy(study, rows):
    """Error against speed over those layers that most implementations can do, so that all are asked the same."""
    for setting, group in rows.groupby(data.SETTING, sort=False):
        panels, used = [], []
        for output in drawing.passes_of(group):
            panel = group[(group["pass"] == output) & group["err_reference"].gt(0)]
            takers = panel.groupby("problem")["impl"].nunique()
            if not len(takers) or takers.max() < 2:
                continue
            panel = panel[panel["problem"].isin(takers.index[takers == takers.max()])]
            used.append(panel)
            panels.append({"title": drawing.TITLES[output], "guides": [], "series": series(
                pd.DataFrame([middle(points) for _, points in panel.groupby("impl", sort=False)]), accuracy_point, False)})
        if panels:
            used = pd.concat(used)
            problems = used["problem"].nunique()
            errors = powers(10, used["err_reference"])
            yield figure(
                "accuracy", "Accuracy against speed",
                f"{study.label(setting[0])}: {data.setting_title(*setting[1:])}. Up is less exact, right is faster: "
                f"largest |error| / Σ|a·b| against the definition in double, and throughput; medians over the "
                f"{problems} layer{'s' if problems > 1 else ''} that most implementations can do.",
                panels, axis("effective GFLOP/s", min=0),
                axis("error", log=True, ticks=errors, names=[power_of_ten(e) for e in errors], min=errors[0],
                     max=errors[-1]), study.rows_of(used))


def middle(points):
    return {"impl": points["impl"].iloc[0], "name": "", "layers": len(points), "gflops": points["gflops"].median(),
            "error": points["err_reference"].median(), "worst": points["err_reference"].max()}


def accuracy_point(row):
    return {"x": row.gflops, "y": row.error, "tag": row.impl, "text": [
        row.impl, f"{row.gflops:.1f} GFLOP/s", f"error {row.error:.2g}, largest {row.worst:.2g}",
        f"medians over {row.layers} layers"]}


def scaling(study, rows):
    """Speedup of the total time of all layers that an implementation did at every thread count."""
    for (name, *setting), group in data.main_states(rows).groupby(data.ANY_THREADS, sort=False):
        counts = sorted(group["threads"].unique())
        if len(counts) < 2:
            continue
        panels = []
        for output in drawing.passes_of(group):
            times = group[group["pass"] == output].pivot_table(index=["impl", "problem"], columns="threads",
                                                              values="t_median_s").reindex(columns=counts).dropna()
            total = times.groupby("impl").sum()
            speedup = total.rdiv(total[counts[0]], axis=0)
            layers = times.groupby("impl").size()
            panels.append({
                "title": drawing.TITLES[output],
                "guides": [{"points": [[counts[-1], counts[-1] / counts[0]], [counts[0], 1]], "label": "ideal"}],
                "series": [{"impl": impl, "line": True, "points": [
                    {"x": count, "y": speedup.at[impl, count], "text": [
                        impl, f"{data.thread_count(count)}: {speedup.at[impl, count]:.2f}x",
                        f"efficiency {100 * speedup.at[impl, count] * counts[0] / count:.0f} %",
                        f"{1e3 * total.at[impl, count]:.4g} ms for {layers[impl]} layers"]} for count in counts]}
                    for impl in drawing.listing_order(total.index)]})
        yield figure(
            "scaling", "Scaling over threads",
            f"{study.label(name)}, {data.setting_title(None, *setting)}. Speedup over "
            f"{data.thread_count(counts[0])}, of the total time of the layers; the absolute time shows on hovering.",
            panels, axis("threads", ticks=counts, min=counts[0] - 0.2, max=counts[-1] + 0.2),
            axis("speedup", min=0, max=1.15 * counts[-1] / counts[0], ticks=list(range(int(counts[-1] / counts[0]) + 1))),
            study.rows_of(group))


def processes(study):
    """Their names in the figures of handoffs."""
    return [f"process {rep:.0f}" for rep in sorted(study.raw["rep"].unique())]


def handoffs(study):
    """What a cache line took between the cores: a figure a study and thread count, a line a process, over its points in the
    order in which they were measured."""
    for name in study.points["study"].unique():
        samples = data.read_handoffs(name)
        samples = samples[samples["handoff_ns"].notna()] if samples is not None else ()
        for threads, group in samples.groupby("threads") if len(samples) else ():
            behind = study.raw[(study.raw["study"] == name) & (study.raw["threads"] == threads)]
            limit = data.FAR * study.points[(study.points["study"] == name) & (study.points["threads"] == threads)][
                "handoff_base_ns"].max()
            lines = []
            for rep, rows in group.groupby("rep"):
                found = rows.groupby(["problem", "pass"], sort=False)["handoff_ns"].agg(["min", "median", "max"])
                lines.append({"impl": f"process {rep:.0f}", "line": True, "points": [
                    {"x": place, "y": row.median, "lo": row.min, "hi": row.max,
                     "text": [f"process {rep:.0f}", " ".join(row.Index), f"{row.median:.0f} ns [{row.min:.0f}, {row.max:.0f}]"]}
                    for place, row in enumerate(found.itertuples(), 1)]})
            ends = powers(2, [*group["handoff_ns"], limit])
            last = max(len(line["points"]) for line in lines)
            yield figure(
                "handoff", "How far apart the cores are", f"{study.label(name)}, {data.thread_count(threads)}: median over "
                "the rounds of each problem and pass, a line a process; bars: from the least to the most. Above the dashed "
                f"line, {data.FAR} times the smallest median, the cores are far apart.",
                [{"title": data.thread_count(threads), "series": lines,
                  "guides": [{"points": [[1, limit], [last, limit]], "label": f"far above {limit:.0f} ns"}]}],
                axis("problem and pass, as measured", min=0.5, max=last + 0.5),
                axis("handoff (ns)", log=True, ticks=ends, min=ends[0], max=ends[-1]), behind["row"])


def phases(study, rows):
    """Where the time of a run goes: a figure a problem, a panel a pass, a bar an implementation."""
    controls = rows["impl"].astype(str).str.endswith(data.CONTROL)
    rows = rows.assign(row=rows.index)[rows["pct_run"].notna() & ~controls]  # not the steps around the run
    for (*setting, _), group in rows.groupby(data.SETTING + ["problem"], sort=False):
        panels, slow, shown = [], set(), []
        for output in drawing.passes_of(group):
            panel = group[group["pass"] == output]
            times = panel.groupby(["impl", "phase"])[["t_s", "pct_run", "flop", "bytes"]].mean().reset_index()
            totals = times.groupby("impl")["t_s"].sum()
            slow |= set(totals.index[totals > LONGEST_BAR * totals.min()])
            times = times[times["impl"].map(totals) <= LONGEST_BAR * totals.min()]
            shown.append(times)
            panels.append({"title": drawing.TITLES[output], "impls": drawing.listing_order(times["impl"].unique()),
                           "series": [{"color": PHASES[phase], "points": [phase_bar(row) for row in parts.itertuples()]}
                                      for phase, parts in in_order(times)]})
        first = group.iloc[0]
        left_out = f" Not shown, because they take more than {LONGEST_BAR} times the fastest: {', '.join(sorted(slow))}."
        yield figure(
            "phases", f"{first['name']} {data.size_label(first)}, batch {first['mb']:.0f}".strip(),
            f"{study.label(setting[0])}: {data.setting_title(*setting[1:])}. Means over team, calls and processes, measured "
            f"in calls of their own after the samples, so the sums differ a little from the medians. “run”: who does not "
            f"tell its phases apart.{left_out if slow else ''}",
            panels, axis("ms", min=0), axis(""), group["row"], file="phases.csv",
            keys={phase: PHASES[phase] for phase, _ in in_order(pd.concat(shown))})


def in_order(times):
    """(phase, its rows), in the order of a run."""
    return [(phase, times[times["phase"] == phase]) for phase in PHASES if (times["phase"] == phase).any()]


def phase_bar(row):
    rates = [f"{1e-9 * work / row.t_s:.4g} {unit}" for work, unit in ((row.flop, "GFLOP/s"), (row.bytes, "GB/s"))
             if not math.isnan(work)]
    return {"x": 1e3 * row.t_s, "y": row.impl, "text": [f"{row.impl}: {row.phase}", f"{1e3 * row.t_s:.4g} ms, "
                                                        f"{row.pct_run:.0f} % of the run", *rates]}
