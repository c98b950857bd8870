"""The tables of the report: who wins where, what was lost and how noisy it was, and what a whole network takes.
A table is a head and rows of cells; a cell knows its text, what it sorts by, and how it is colored.
SPDX-License-Identifier: Apache-2.0"""

import math

import numpy as np
import pandas as pd

import drawing
import tripass_data as data
from report_figures import named_tuples, span

MARKS = {"faster": "▲", "slower": "▼", "tie": "≈", "unknown": "?"}


def cell(text, sort=None, kind="", hint=""):
    return {"text": str(text), "sort": str(text) if sort is None else sort, "kind": kind, "hint": hint}


def number(value, form, kind="", hint="", unit=""):
    if math.isnan(value):
        return cell("–", -1, "none", hint)
    return cell(f"{value:{form}}{unit}", value, f"number {kind}".strip(), hint)


def table(title, note, head, rows, source=()):
    return {"title": title, "note": note, "head": head, "rows": rows, "source": sorted(set(source))}


def outcome(row, floor):
    """What a ratio says: faster and slower only beyond its interval and the noise floor."""
    if math.isnan(row["lo"]):
        return "unknown"
    if data.is_win(row["ratio"], row["lo"], floor):
        return "faster"
    return "slower" if data.is_win(1 / row["ratio"], 1 / row["hi"], floor) else "tie"


def kind_of_layer(row):
    """Layers that behave alike: kernel, stride, dilation, groups."""
    kind = f"{row['kh']:.0f}×{row['kw']:.0f}"
    kind += f", stride {row['sh']:.0f}" if row["sh"] > 1 else ""
    kind += ", dilated" if row["dh"] else ""
    if row["g"] > 1:
        kind += ", depthwise" if row["g"] == row["ic"] else ", grouped"
    return kind


def verdict(compared, sizes, against):
    """Kinds of layers by passes: how often faster, tied, slower, and the range of the ratio."""
    rows = compared.join(sizes, on="problem").assign(kind=lambda table: table.apply(kind_of_layer, axis=1))
    passes = drawing.passes_of(rows)
    kinds = list(rows["kind"].value_counts().index)
    body = []
    for kind in kinds + (["all"] if len(kinds) > 1 else []):
        of_kind = rows if kind == "all" else rows[rows["kind"] == kind]
        body.append([cell(kind if kind != "all" else "all layers")]
                    + [verdict_cell(of_kind[of_kind["pass"] == output]) for output in passes])
    return table(f"Ours against {against}: who wins where",
                 "▲ layers in which ours is faster, ≈ tied, ▼ slower, ? without an interval; then how many times faster, "
                 "from the worst layer to the best, and whose implementation is fastest most often.",
                 ["layers"] + [drawing.TITLES[output] for output in passes], body)


def verdict_cell(rows):
    if rows.empty:
        return cell("–", -1, "none")
    counts = rows["outcome"].value_counts()
    best = rows["ours"].where(rows["ratio"] >= 1, rows["theirs"]).value_counts().index[0]
    text = "  ".join(f"{MARKS[result]} {counts[result]}" for result in MARKS if result in counts)
    known = rows["ratio"][rows["lo"].notna()]
    low, high = known.min(), known.max()
    ratio = "" if known.empty else f"{low:.2f}×" if len(known) == 1 else f"{low:.2f}–{high:.2f}×"
    share = {result: counts.get(result, 0) / len(rows) for result in ("faster", "slower")}
    kind = next((result for result, part in share.items() if part > 0.5), "tie")
    return cell(f"{text}\n{ratio}\n{best}", rows["ratio"].median(), f"outcome {kind}",
                f"median {known.median():.2f}× over {len(known)} layers" if len(known) else "no interval")


def winners(summary, tables):
    """A row a (setting, problem, pass): the fastest implementation, and by how much it beats the next."""
    found = []
    for group, points in summary.groupby(data.GROUP, sort=False):
        times = tables[group]
        ranked = np.log(times).mean().sort_values().index  # by what the interval below is of
        row = dict(points.set_index("impl").loc[ranked[0]], impl=ranked[0], next="", ratio=math.nan, lo=math.nan,
                   measured=len(points))
        if len(ranked) > 1:
            row["next"] = ranked[1]
            row |= dict(zip(("ratio", "lo", "hi"), data.estimate(times[ranked[1]] / times[ranked[0]])))
        found.append(row)
    return pd.DataFrame(found)


def crossovers(study, won):
    """Maps of channels by batch, colored by the winner: one a pass, where at least two of each were measured. Studies
    of one setting share a map, because a cell compares within itself only."""
    unnamed = won[won["name"] == ""]
    fixed = [size for size in data.SIZES if size not in ("mb", "ic", "oc")]
    shape = (unnamed["oc"] / unnamed["ic"]).rename("shape")
    for _, group in unnamed.groupby(data.SETTING[1:] + ["pass"] + fixed + [shape], sort=False):
        group = group.drop_duplicates("problem")
        channels, batches = (sorted(group[size].unique()) for size in ("ic", "mb"))
        if len(channels) < 2 or len(batches) < 2:
            continue
        cells = {(row["mb"], row["ic"]): crossover_cell(row, study.floor(row)) for _, row in group.iterrows()}
        body = [[cell(f"batch {mb:.0f}", mb)] + [cells.get((mb, ic), cell("", -1, "none")) for ic in channels]
                for mb in batches]
        first = group.iloc[0]
        yield table(f"{drawing.TITLES[first['pass']].capitalize()}, {data.thread_count(first['threads'])}",
                    f"{first['kh']:.0f}×{first['kw']:.0f} kernel, stride {first['sh']:.0f}, {first['ih']:.0f}×"
                    f"{first['iw']:.0f} image; {data.setting_title(*first[data.SETTING[1:]])}",
                    [""] + [f"{ic:.0f}" for ic in channels], body, study.rows_of(group.drop(columns="impl")))


def crossover_cell(row, floor):
    said = outcome(row, floor) if row["next"] else ""
    margin = {"": "alone", "faster": f"{row['ratio']:.2f}×", "unknown": "?"}.get(said, "≈")
    candidates = row["measured"] + len(row["unmeasured"])
    mark = f" of {row['measured']}/{candidates}" if row["unmeasured"] else ""
    hint = f"{row['impl']} {row['gflops']:.0f} GFLOP/s; next {row['next'] or 'nobody'}"
    hint += span(row["lo"], row["hi"], ".2f")
    return cell(f"{margin}{mark}", row["ratio"], f"impl:{row['impl']}", hint)


def per_layer(study, compared, title, against):
    """A row a layer, a group of columns a pass: ours, its time, times faster."""
    passes = [output for output in data.PASSES + ["step"] if (compared["pass"] == output).any()]
    body = []
    for place, (_, rows) in enumerate(compared.groupby("problem", sort=False)):
        first = rows.iloc[0]
        line = [cell(first["layer"], place), number(first["mult"], ".0f")]
        for output in passes:
            one = rows[rows["pass"] == output]
            if one.empty or math.isnan(one.iloc[0]["ratio"]):
                line += [cell("–", -1, "none")] * 2
                continue
            one = one.iloc[0]
            line += [cell(f"{one['ours'] if output != 'step' else 'best of each'}\n{1e3 * one['t_ours_s']:.4g} ms",
                          one["t_ours_s"], "ours"),
                     cell(f"{one['ratio']:.2f}×{MARKS[one['outcome']]}{span(one['lo'], one['hi'], '.2f')}\n"
                          f"{one['theirs'] if output != 'step' else 'oneDNN'} {1e3 * one['t_theirs_s']:.4g} ms",
                          one["ratio"], f"number outcome {one['outcome']}")]
        body.append(line)
    head = ["layer", "×"] + [text for output in passes for text in (drawing.TITLES[output], "faster")]
    return table(title, f"The fastest of ours and its time, and how many times faster than the best of {against}, with "
                 "the 95 % interval and that one's time. A training step has the SGD step (t_sgd_s), the weight update "
                 "alone has not.", head, body, study.rows_of(compared))


def totals(study, rows, title):
    """Time of the whole network, each layer as often as it stands in it: best of each layer, and each implementation
    alone where it can do all layers."""
    columns = drawing.passes_of(rows)
    everyone = rows[rows["family"] != "reference"]
    ours = everyone[everyone["family"] != "onednn"]
    theirs = data.rivals(everyone)
    sides = [("best of all, per layer", everyone), ("best of ours, per layer", ours),
             ("best of oneDNN, per layer", theirs)]
    sides += [(impl, everyone[everyone["impl"] == impl])
              for impl in drawing.listing_order(everyone["impl"].unique())]
    base = total_times(study, theirs, rows)
    body = []
    for place, (name, side) in enumerate(sides):
        times = total_times(study, side, rows)
        if not times:
            continue
        line = [cell(name, place, "best" if "per layer" in name else f"impl:{name}")]
        usable = study.worth.usable(rows.iloc[0][data.SETTING])
        for column in columns + ["step"]:
            if column not in times:
                line += [cell("–", -1, "none")] * 2
                continue
            ratio, low, high = data.estimate(base[column] / times[column]) if usable and column in base else [math.nan] * 3
            line += [number(1e3 * times[column].median(), ".4g"),
                     number(ratio, ".2f", hint=span(low, high, ".2f").strip(), unit="×")]
        body.append(line)
    head = ["implementation"] + [text for column in columns + ["step"]
                                 for text in (f"{drawing.TITLES[column]} (ms)", "faster")]
    return table(title, "Sum over the layers, each as often as the network has it, in the median process; a training step "
                 "is forward + backward (not of the first layer, whose input needs no gradient) + weight update + its SGD "
                 "step (t_sgd_s), which the weight update alone does not hold. “Faster” refers to the best of oneDNN per layer, its interval shows on "
                 "hovering. – : cannot do every layer.", head, body, study.rows_of(rows))


def total_times(study, side, rows):
    """{pass or "step": seconds in each process} of those passes in which the side has a time for every layer, in one
    process at the least."""
    times, step = {}, 0
    for column in drawing.passes_of(rows):
        layers = rows[rows["pass"] == column].drop_duplicates("problem")
        mine = dict(list(side[side["pass"] == column].groupby("problem")))
        if set(layers["problem"]) != set(mine):
            continue
        times[column] = 0
        for layer in layers.itertuples():
            sgd = mine[layer.problem].set_index("impl")["t_sgd_s"]
            drawn = study.tables[tuple(getattr(layer, name) for name in data.SETTING) + (layer.problem, column)][sgd.index]
            times[column] = times[column] + layer.mult * data.fastest(drawn)
            if column != "bwd" or not layer.first:
                step = step + layer.mult * data.fastest(drawn + sgd)
    if len(times) == len(data.PASSES):
        times["step"] = step
    return {column: total for column, total in times.items() if total.notna().any()}


def core_matrices(study):
    """What a cache line took between each two cores of a team of more than two, in ns, from machine.json."""
    for name, machine in study.machines.items():
        for probe in machine.get("ceilings", []):
            matrix, step = probe.get("handoff_ns") or [], probe.get("handoff_step", 1)
            if len(matrix) < 3:
                continue
            heads = [f"{place * step}" for place in range(len(matrix))]
            body = [[cell(head, place)] + [number(math.nan if ns is None else ns, ".0f") for ns in row]
                    for place, (head, row) in enumerate(zip(heads, matrix))]
            behind = study.raw[(study.raw["study"] == name) & (study.raw["threads"] == probe["threads"])]
            yield table(f"{study.label(name)}, {data.thread_count(probe['threads'])}: ns between each two",
                        "Threads of the team, before the first point was measured.", ["thread"] + heads, body,
                        [int(row) for row in behind["row"]])


def lost(points):
    """Rows without a time, by what happened and why."""
    bad = points[points["status"] != "OK"]
    body = [[cell(status, kind=f"status {status}"), cell(reason or "–"), cell(impl), number(len(rows), ".0f")]
            for (status, reason, impl), rows in bad.groupby(["status", "reason", "impl"], sort=True)]
    return table("Not measured, and why", "Each is a row of points.csv like any other; none is in a figure.",
                 ["status", "reason", "implementation", "rows"], body, bad["row"])


def every_point(study):
    """One row a measured point: what all figures are drawn from."""
    rows = study.summary.assign(above=data.above_ceiling(study.summary))
    body = [[cell(study.label(row.study)), cell(f"{row.name_} {data.size_label(row)}".strip()), number(row.mb, ".0f"),
             cell(drawing.TITLES[row.pass_]), cell(row.impl, kind=f"impl:{row.impl}"), number(row.threads, ".0f"),
             number(1e3 * row.t_median_s, ".4g"), number(1e3 * row.t_lo_s, ".4g"), number(1e3 * row.t_hi_s, ".4g"),
             number(row.n, ".0f"), number(row.gflops, ".1f"), number(row.pct_ceiling, ".0f", kind="above" if row.above else ""),
             number(row.err_reference, ".1e"), cell(row.flags), cell(data.STATES.get(row.state, ""))]
            for row in named_tuples(rows)]
    return table("Every point", "", ["study", "layer", "batch", "pass", "implementation", "threads", "ms", "from", "to",
                                     "n", "GFLOP/s", "% of ceiling", "error", "noise", "cores"], body, study.rows_of(rows))
