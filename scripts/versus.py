#!/usr/bin/python3
"""Ours against oneDNN, below a line that says what the study is worth: for each layer and pass, how many times faster the
best of the suite's own implementations is than the best of oneDNN's. Two tables: without onednn-winograd and, where it
was measured, with it. Layers of networks have a training step too: forward + backward (not of the first layer) +
weight update with its SGD step, which the column of the weight update does not hold (t_sgd_s in points.csv). Below the layers the geometric mean over the distinct
ones, and the ratio of total times, each layer counted as often as its network has it; neither over fewer than half.

In brackets the 95 % interval over the worker processes: each gives one ratio, in which the best are chosen again, so
that the choice is part of the uncertainty. (2.00) is of a single process, so without one. A process in which the budget
left out one of oneDNN's implementations gives none, and a layer of which that is true in all of them has none
(-): the one left out may be oneDNN's best.
SPDX-License-Identifier: Apache-2.0"""

import sys
from fnmatch import fnmatchcase

import startup
startup.explain_missing_modules()

import numpy as np
import pandas as pd

import tripass_data as data
import worth

TABLES = {"oneDNN": data.BASELINE, "oneDNN with Winograd": data.BASELINE + ["onednn-winograd"]}
COLUMNS = data.SETTING + ["mb", "against", "layer", "mult", "pass", "ours", "theirs", "t_ours_s", "t_theirs_s",
                          "ratio", "lo", "hi"]


def compare(summary, tables, against):
    """One row a layer and pass; ratio is NaN where a side has no time. drawn_*: the two times in each process; *_stepped_*:
    with the SGD step, for who is fastest then."""
    rows = []
    for group, points in summary.groupby(data.GROUP, sort=False):
        layer = points.iloc[0]
        row = dict(zip(data.GROUP, group), mb=layer["mb"], against=against, mult=layer["mult"], first=layer["first"],
                   layer=f"{layer['name']} {data.size_label(layer)}".strip(), named=layer["name"] != "", ratio=np.nan)
        ours = points[~points["family"].isin(["onednn", "reference"])]
        theirs = data.rivals(points, TABLES[against])
        if len(ours) and len(theirs):
            for side, rivals in (("ours", ours), ("theirs", theirs)):
                best = rivals.loc[rivals["t_median_s"].idxmin()]
                drawn, sgd = tables[group][list(rivals["impl"])], rivals.set_index("impl")["t_sgd_s"]
                row |= {side: best["impl"], f"t_{side}_s": best["t_median_s"], f"drawn_{side}": data.fastest(drawn),
                        f"t_stepped_{side}_s": (rivals["t_median_s"] + rivals["t_sgd_s"]).min(),
                        f"drawn_stepped_{side}": data.fastest(drawn + sgd)}
            row |= with_interval(row["drawn_theirs"] / row["drawn_ours"])
        rows.append(row)
    return pd.DataFrame(rows)


def of_ours_only(summary, globs):
    """Without those of the suite's implementations that match none of the globs."""
    named = summary["impl"].map(lambda impl: any(fnmatchcase(impl, glob) for glob in globs))
    return summary[named | summary["family"].isin(["onednn", "reference"])]


def with_steps(compared):
    """compared, of one table, and below the passes of each layer of a network its training step: forward + backward +
    weight update with its SGD step, but no backward of the first layer, whose input needs no gradient."""
    steps = []
    for _, rows in compared[compared["named"]].groupby(data.SETTING + ["problem"], sort=False):
        needed = rows[(rows["pass"] != "bwd") | ~rows["first"]]
        if set(needed["pass"]) | {"bwd"} == set(data.PASSES) and needed["ratio"].notna().all():
            sums = {f"{what}_{side}{unit}": sum(needed[f"{what}_stepped_{side}{unit}"])
                    for what, unit in (("t", "_s"), ("drawn", "")) for side in ("ours", "theirs")}
            steps.append(dict(rows.iloc[0][data.SETTING + ["mb", "problem", "layer", "mult", "against", "named", "first"]],
                              **{"pass": "step"}, **sums, **with_interval(sums["drawn_theirs"] / sums["drawn_ours"])))
    return pd.concat([compared, pd.DataFrame(steps)], ignore_index=True)


def with_interval(ratios):
    return dict(zip(("ratio", "lo", "hi"), data.estimate(ratios)))


def summaries(compared, layers=None):
    """The two rows below the layers of one pass, of one setting, batch size and rival; none over fewer than half of the
    layers, which are `layers` in the table."""
    both, layers = compared[compared["ratio"].notna()], layers or len(compared)
    if len(both) < 2 or 2 * len(both) < layers:
        return []
    common = dict(both.iloc[0][data.SETTING + ["mb", "against", "pass"]], count=f"{len(both)} of {layers} layers")
    logs = [np.log(row.drawn_theirs / row.drawn_ours) for row in both.itertuples()]
    mean = with_interval(np.exp(sum(logs) / len(logs)))
    ours, theirs = ((both["mult"] * both[f"t_{side}_s"]).sum() for side in ("ours", "theirs"))
    drawn = [sum(both["mult"] * both[f"drawn_{side}"]) for side in ("ours", "theirs")]
    total = with_interval(drawn[1] / drawn[0])
    return [common | mean | {"layer": "geometric mean"},
            common | total | {"layer": "total time x mult", "mult": both["mult"].sum(), "t_ours_s": ours,
                              "t_theirs_s": theirs}]


def footer(rows):
    """The summaries of all passes of a table, as rows. Over how many layers they are says the row if that is the same for
    all passes, else the cell."""
    layers = rows["problem"].nunique()
    below = [line for _, of_pass in rows.groupby("pass", sort=False) for line in summaries(of_pass, layers)]
    below.sort(key=lambda line: line["layer"])
    if len({line["count"] for line in below}) > 1:
        return [line | {"part": f" of {line['count'].split()[0]}", "layer": f"{line['layer']}, of {layers} layers"}
                for line in below]
    return [line | {"layer": f"{line['layer']}, {line['count']}"} for line in below]


def text_cell(row):
    if np.isnan(row["ratio"]):
        return "-"
    known = not np.isnan(row["lo"])
    name = f" {row['ours']}" if isinstance(row.get("ours"), str) else ""
    part = row["part"] if isinstance(row.get("part"), str) else ""
    return (f"{row['ratio']:.2f} [{row['lo']:.2f} {row['hi']:.2f}]" if known else f"({row['ratio']:.2f})") + part + name


def as_table(rows):
    """A row a layer, a column a pass."""
    cells = rows.assign(cell=rows.apply(text_cell, axis=1), key=rows["problem"].fillna(rows["layer"]))
    alike = cells.groupby("key")["mult"].transform("nunique") == 1
    cells["layer"] += cells["mult"].where(alike).map(lambda m: f" *{m:.0f}" if m > 1 else "")
    table = cells.pivot(index="key", columns="pass", values="cell")
    table = table.reindex(index=cells["key"].unique(), columns=[p for p in data.PASSES + ["step"] if p in table]).fillna("-")
    return table.rename(index=dict(zip(cells["key"], cells["layer"])))


def print_table(table, markdown):
    columns = [list(table.index)] + [list(table[c]) for c in table]
    heads = ["layer"] + list(table.columns)
    widths = [max(map(len, column + [head])) for column, head in zip(columns, heads)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()
             for cells in [heads, *zip(*columns)]]
    if markdown:
        lines = ["| " + " | ".join(cells) + " |" for cells in [heads, ["---"] * len(heads), *zip(*columns)]]
    print("\n".join(lines))


def tables_of(compared, summary):
    """[(setting, mb, rival, layers, layers and footer)] of each table that can be shown."""
    measured = summary.groupby(data.SETTING + ["mb"])["impl"].agg(set)
    for key, rows in compared.groupby(data.SETTING + ["mb", "against"], sort=False):
        if set(TABLES[key[-1]]) - set(data.BASELINE) <= measured[key[:-1]]:
            yield key[:-2], *key[-2:], rows, pd.concat([rows, pd.DataFrame(footer(rows))], ignore_index=True)


def print_setting(found, controls, table, markdown):
    setting, mb, against, layers, rows = table
    print(f"{setting[0]}: mb {mb:.0f}, {data.setting_title(*setting[1:])}: times faster than {against}\n")
    if found.usable(setting):
        floor = found.floor(setting)
        slower = sum(data.is_win(1 / row.ratio, 1 / row.hi, floor) for row in layers.itertuples())
        faster = sum(data.is_win(row.ratio, row.lo, floor) for row in layers.itertuples())
        print_table(as_table(rows), markdown)
        print(f"\nOf {layers['ratio'].notna().sum()}, faster than {against} beyond interval and noise floor: {faster};"
              f" slower: {slower}.")
    else:
        print("unusable: nobody is faster; verdict.py --all lists the times")
    print(f"{data.floor_text(controls, setting)}\n")


def main():
    parser = worth.parser(__doc__.split("\n\n")[0])
    parser.add_argument("directory", nargs="+", help="what tripass run -o was given, or a directory above it")
    parser.add_argument("--impl", default="*", metavar="GLOB,...", help="of the suite's own implementations only these")
    parser.add_argument("--format", choices=["text", "markdown", "csv"], default="text",
                        help="csv has no ratio where the study is unusable")
    options = parser.parse_args()
    points = data.read_points(options.directory)
    summary, controls = of_ours_only(data.summarize(points), options.impl.split(",")), data.controls(points)
    found, lines = worth.opening(points, controls)
    tables = data.replicates(summary)
    compared = pd.concat([with_steps(compare(summary, tables, against)) for against in TABLES], ignore_index=True)
    if compared["ratio"].isna().all():
        raise data.DataError("nothing to compare: no layer has both an implementation of ours and one of oneDNN")
    everything = list(tables_of(compared, summary))
    if options.format == "csv":
        table = pd.concat([rows for *_, rows in everything], ignore_index=True)
        table.loc[~table.index.isin(found.usable_rows(table).index), ["ratio", "lo", "hi"]] = np.nan
        table[COLUMNS].to_csv(sys.stdout, index=False, float_format="%.9g")
        return
    print("\n".join(lines) + "\n")
    for table in everything:
        print_setting(found, controls, table, options.format == "markdown")


if __name__ == "__main__":
    data.run(main)
