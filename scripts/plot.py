#!/usr/bin/python3
"""Draws what a study measured: effective throughput against channels and against batch size (one panel a pass, one
line an implementation), and for named layers the speed relative to oneDNN. In DIR/figures, of each figure: a PNG for
reading; for papers NAME.pdf, two columns wide, NAME-single.pdf, one column wide, both with TrueType fonts, and NAME.tex,
a caption that says what the bars and how many the calls are.
SPDX-License-Identifier: Apache-2.0"""

import argparse
import re
from functools import partial
from pathlib import Path

import startup
startup.explain_missing_modules()

import matplotlib
import numpy as np

import drawing
import tripass_data as data

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 (the backend comes first)
from matplotlib.ticker import NullLocator  # noqa: E402

WIDTH, SINGLE = 7.16, 3.5  # inches: two columns of an IEEE page, and one
SMALLEST_RATIO = 1 / 4
INK, GRAY = (drawing.COLORS[name][0] for name in ("black", "gray"))

plt.rcParams.update({
    "font.size": 8, "axes.titlesize": 9, "legend.fontsize": 7.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#E4E4E4", "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.2,
    "lines.markersize": 4.5, "pdf.fonttype": 42, "ps.fonttype": 42, "font.family": "DejaVu Sans"})


def style(impl):
    color, marker, line, hollow = drawing.style(impl)
    color = drawing.COLORS[color][0]
    return {"color": color, "marker": marker, "linestyle": line, "zorder": 2 if hollow else 3,
            "markerfacecolor": "white" if hollow else color, "markeredgecolor": color if hollow else "white",
            "markeredgewidth": 0.9 if hollow else 0.4}


def panels_of(rows, width, height, **share):
    """(figure, [(axes, pass)]): panels side by side, or below each other where the page is narrow."""
    passes = drawing.passes_of(rows)
    grid = (1, len(passes)) if width > SINGLE else (len(passes), 1)
    figure, axes = plt.subplots(*grid, figsize=(width, height * grid[0] + 0.9), squeeze=False, **share)
    for ax, output in zip(axes.flat, passes):
        ax.set_title(drawing.TITLES[output], loc="left")
    return figure, list(zip(axes.flat, passes))


def finish(figure):
    """Below the panels every implementation once; the panels take what is left."""
    handles = {}
    for ax in figure.axes:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels())))
    names = drawing.listing_order(handles)
    width, height = figure.get_size_inches()
    columns = int(width / 1.4)
    figure.legend([handles[name] for name in names], names, loc="lower center", ncol=columns, frameon=False,
                  bbox_to_anchor=(0.5, 0), handlelength=2.6, columnspacing=1.5)
    figure.tight_layout(rect=(0, (0.1 + 0.165 * -(-len(names) // columns)) / height, 1, 1), w_pad=0.8)
    return figure


def throughput(rows, axis, label, width):
    """GFLOP/s against one size, a panel a pass."""
    figure, panels = panels_of(rows, width, 2.3, sharey=True)
    sizes = sorted(rows[axis].unique())
    for ax, output in panels:
        panel = rows[rows["pass"] == output]
        for impl in drawing.listing_order(panel["impl"].unique()):
            line = panel[panel["impl"] == impl].set_index(axis).reindex(sizes)  # a missing point breaks the line
            below, above = (line["work"] / line[end] - line["gflops"] for end in ("t_hi_s", "t_lo_s"))
            ax.errorbar(sizes, line["gflops"], yerr=[-below.fillna(0), above.fillna(0)], label=impl, capsize=1.5,
                        elinewidth=0.7, **style(impl))
        top = data.ceiling(rows)
        ax.axhline(top, label=drawing.CEILING, **style(drawing.CEILING))
        ax.annotate(f" {top:.0f}", (0, top), xycoords=("axes fraction", "data"), va="bottom", fontsize=6.5, color=GRAY)
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel(label)
    panels[0][0].set_ylim(bottom=0)
    figure.supylabel("effective throughput (GFLOP/s)", y=0.6, fontsize="medium")  # beside the panels, not the legend
    return finish(figure)


def relative(rows, width):
    """Speed of every implementation relative to the best of onednn and onednn-plain, a line a layer."""
    layers = rows.drop_duplicates("problem")
    place = {problem: index for index, problem in enumerate(layers["problem"])}
    pitch, size = (0.17, 8) if width > SINGLE else (0.1, 6)  # three panels of ResNet-50 fit a page of 9 inches
    figure, panels = panels_of(rows, width, 0.4 + pitch * len(layers), sharey=True, sharex=True)
    shown = rows[rows["ratio"] >= SMALLEST_RATIO]
    fastest = max(2, shown["ratio"].max()) * 1.15
    for ax, output in panels:
        panel = shown[shown["pass"] == output]
        ax.axvspan(1, fastest, color="#F1F6FA", zorder=0)
        for impl in reversed(drawing.listing_order(panel["impl"].unique())):
            points = panel[panel["impl"] == impl]
            ax.plot(points["ratio"], points["problem"].map(place), label=impl, **(style(impl) | {"linestyle": ""}))
        ax.axvline(1, color=INK, linewidth=0.8, zorder=1)
        ax.set_xscale("log", base=2)
        ax.set_xlim(SMALLEST_RATIO * 0.9, fastest)
        ticks = [2.0**power for power in range(-2, int(np.log2(fastest)) + 1)]
        ax.set_xticks(ticks, [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:.0f}" for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("speed relative to oneDNN")
        ax.tick_params(axis="y", length=0, labelsize=size)
    labels = [f"{row['name']}   {data.size_label(row)}" if width > SINGLE else row["name"] for _, row in layers.iterrows()]
    panels[0][0].set_yticks(range(len(layers)), labels)
    panels[0][0].set_ylim(len(layers) - 0.4, -0.6)
    return finish(figure)


def figures(points, summary):
    """(file name, function from width to figure, caption) of everything that these points can show."""
    for setting, rows in summary.groupby(data.SETTING, sort=False):
        study, threads, isa, cache, bias, act, state = setting
        bad = points[(points[data.SETTING] == setting).all(axis=1) & (points["status"] != "OK")]
        where = data.setting_title(*setting[1:])
        name = "-".join([Path(study).name, f"t{threads:.0f}", isa, cache, *data.beside(bias, act), *[state] * (state != "")])
        for axis, tied, label in drawing.SWEEPS:
            for number, (first, group) in enumerate(drawing.sweeps(rows, axis, tied)):
                lost = bad[bad["problem"].isin(group["problem"])]
                calls = "{:.0f} to {:.0f}".format(*group["n"].agg(["min", "max"]))
                yield (f"{name}-{label.split()[0]}{number or ''}", partial(throughput, group, axis, label),
                       f"{drawing.sweep_title(first, axis)}; {where}. Median of n = {calls} calls, bars: 95 % rank "
                       f"intervals. Effective: nominal operations / time. {lost_text(lost)}")
        named = rows[rows["name"] != ""]
        baseline = data.rivals(named).groupby(data.GROUP)["t_median_s"].min().rename("t_base_s")
        named = named.join(baseline, on=data.GROUP)
        named = named.assign(ratio=named["t_base_s"] / named["t_median_s"])
        for batch, group in named[named["ratio"].notna()].groupby("mb"):
            slow = (group["ratio"] < SMALLEST_RATIO).sum()
            calls = "{:.0f} to {:.0f}".format(*group["n"].agg(["min", "max"]))
            yield (f"{name}-layers-mb{batch:.0f}", partial(relative, group),
                   f"{Path(study).name}, batch {batch:.0f}; {where}. Ratio of medians of n = {calls} calls; 1 is the "
                   f"better of onednn and onednn-plain. Below 1/{1 / SMALLEST_RATIO:.0f}, not shown: {slow}. "
                   f"{lost_text(bad[(bad['name'] != '') & (bad['mb'] == batch)])}")


def lost_text(lost):
    counts = ", ".join(f"{count} {status}" for status, count in lost["status"].value_counts().items()) or "none"
    return f"Not plotted: {counts}."


def save(out, name, draw, caption):
    """The four files of one figure."""
    for suffix, width in (("-single", SINGLE), ("", WIDTH)):
        figure = draw(width)
        figure.savefig(out / f"{name}{suffix}.pdf", metadata={"CreationDate": None})
    title, note = caption.split(". ", 1)
    figure.text(0.01, 1, title, va="bottom", fontsize=9, fontweight="bold")
    figure.text(0.01, 0, note, va="top", fontsize=6.5, color="#505050")
    figure.savefig(out / f"{name}.png", dpi=200, bbox_inches="tight")
    (out / f"{name}.tex").write_text("\\caption{" + re.sub(r"([%_&#])", r"\\\1", caption) + "}\n")
    plt.close("all")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\nSPDX")[0])
    parser.add_argument("directory", type=Path, help="what tripass run -o was given, or a directory above it")
    options = parser.parse_args()
    points = data.read_points([options.directory])
    out = options.directory / "figures"
    try:
        out.mkdir(exist_ok=True)
        for name, draw, caption in figures(points, data.summarize(points)):
            save(out, name, draw, caption)
            print(out / f"{name}.png")
    except OSError as error:
        raise data.DataError(f"{out}: cannot write figures: {error.strerror}") from None


if __name__ == "__main__":
    data.run(main)
