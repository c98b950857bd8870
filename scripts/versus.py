#!/usr/bin/python3
"""Ours against oneDNN: for each layer and pass, how many times faster the best of the suite's own implementations is
than the best of oneDNN's. Two tables: without onednn-winograd and, where it was measured, with it. Layers of networks
have a training step too: forward + backward (not of the first layer) + weight update with its SGD step, which the
column of the weight update does not hold (t_sgd_s in points.csv). Below the layers the geometric mean over the distinct
ones, and the ratio of total times, each layer counted as often as its network has it.

In brackets the 95 % interval over the worker processes: each gives one ratio, in which the best are chosen again, so
that the choice is part of the uncertainty. A process in which the budget left out one of oneDNN's implementations
gives none, and a layer of which that is true in all of them has none (-): the one left out may be oneDNN's best.
SPDX-License-Identifier: Apache-2.0"""

import argparse
import sys
from fnmatch import fnmatchcase

import startup
startup.explain_missing_modules()

import numpy as np
import pandas as pd

import tripass_data as data

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


def summaries(compared):
    """The two rows below the layers of one pass, of one setting, batch size and rival."""
    both = compared[compared["ratio"].notna()]
    if len(both) < 2:
        return []
    count = f"{len(both)} of {len(compared)} layers"
    common = dict(both.iloc[0][data.SETTING + ["mb", "against", "pass"]])
    logs = [np.log(row.drawn_theirs / row.drawn_ours) for row in both.itertuples()]
    mean = with_interval(np.exp(sum(logs) / len(logs)))
    ours, theirs = ((both["mult"] * both[f"t_{side}_s"]).sum() for side in ("ours", "theirs"))
    drawn = [sum(both["mult"] * both[f"drawn_{side}"]) for side in ("ours", "theirs")]
    total = with_interval(drawn[1] / drawn[0])
    return [common | mean | {"layer": f"geometric mean, {count}"},
            common | total | {"layer": f"total time x mult, {count}", "mult": both["mult"].sum(), "t_ours_s": ours,
                              "t_theirs_s": theirs}]


def text_cell(row):
    if np.isnan(row["ratio"]):
        return "-"
    bracket = "" if np.isnan(row["lo"]) else f" [{row['lo']:.2f} {row['hi']:.2f}]"
    name = f" {row['ours']}" if isinstance(row.get("ours"), str) else ""
    return f"{row['ratio']:.2f}{bracket}{name}"


def as_table(rows):
    """A row a layer, a column a pass."""
    cells = rows.assign(cell=rows.apply(text_cell, axis=1), key=rows["problem"].fillna(rows["layer"]))
    cells["layer"] += cells["mult"].map(lambda m: f" *{m:.0f}" if m > 1 else "")
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", nargs="+", help="what tripass run -o was given, or a directory above it")
    parser.add_argument("--impl", default="*", metavar="GLOB,...", help="of the suite's own implementations only these")
    parser.add_argument("--format", choices=["text", "markdown", "csv"], default="text")
    options = parser.parse_args()
    points = data.read_points(options.directory)
    summary, controls = of_ours_only(data.summarize(points), options.impl.split(",")), data.controls(points)
    tables, floors = data.replicates(summary), data.noise_floor(controls)
    compared = pd.concat([with_steps(compare(summary, tables, against)) for against in TABLES], ignore_index=True)
    if compared["ratio"].isna().all():
        raise data.DataError("nothing to compare: no layer has both an implementation of ours and one of oneDNN")
    measured = summary.groupby(data.SETTING + ["mb"])["impl"].agg(set)
    everything = []
    for key, rows in compared.groupby(data.SETTING + ["mb", "against"], sort=False):
        if not set(TABLES[key[-1]]) - set(data.BASELINE) <= measured[key[:-1]]:
            continue
        below = [line for _, of_pass in rows.groupby("pass", sort=False) for line in summaries(of_pass)]
        below.sort(key=lambda line: line["layer"])
        everything.append((key, rows, pd.concat([rows, pd.DataFrame(below)], ignore_index=True)))
    if options.format == "csv":
        pd.concat([rows for _, _, rows in everything])[COLUMNS].to_csv(sys.stdout, index=False, float_format="%.9g")
        return
    for (*setting, mb, against), layers, rows in everything:
        setting = tuple(setting)
        floor = floors.get(setting, 1)
        slower = sum(data.is_win(1 / row.ratio, 1 / row.hi, floor) for row in layers.itertuples())
        faster = sum(data.is_win(row.ratio, row.lo, floor) for row in layers.itertuples())
        print(f"{setting[0]}: mb {mb:.0f}, {data.setting_title(*setting[1:])}: times faster than {against}\n")
        print_table(as_table(rows), options.format == "markdown")
        print(f"\nOf {layers['ratio'].notna().sum()}, faster than {against} beyond interval and noise floor: {faster};"
              f" slower: {slower}.\n{data.floor_text(controls, setting)}\n")


if __name__ == "__main__":
    data.run(main)
