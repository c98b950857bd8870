#!/usr/bin/python3
"""Draws what a study measured: effective throughput against channels and against batch size (one panel a pass, one
line an implementation), and for named layers the speed relative to oneDNN. Each figure is a PNG for reading and a
PDF with TrueType fonts for papers, in DIR/figures.
SPDX-License-Identifier: Apache-2.0"""

import argparse
import zlib
from pathlib import Path

import matplotlib
import numpy as np

import tripass_data as data

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 (the backend comes first)
from matplotlib.ticker import NullLocator  # noqa: E402

# Colors are Okabe and Ito's, safe for the color blind; a family shares a hue, and the marker and the dashes tell its
# members apart in gray print too.
BLACK, GRAY, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = (
    "#000000", "#8C8C8C", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
CEILING = "measured FMA ceiling"
STYLES = {  # color, marker, line; oneDNN, whom all are compared with, is hollow
    "onednn": (BLACK, "o", "-"),
    "onednn-plain": (BLACK, "s", "--"),
    "onednn-winograd": (BLACK, "^", ":"),
    "direct": (BLUE, "D", "-"),
    "im2col": (GREEN, "P", "-"),
    "im2col-blas": (GREEN, "X", "--"),
    "winograd-f2": (ORANGE, "v", "--"),
    "winograd-f4": (RED, "^", "-"),
    "winograd-f6": (PURPLE, "h", "-."),
    "explicit-dense": (SKY, "<", "-"),
    "explicit-csr": (SKY, ">", "--"),
    "reference": (GRAY, "o", ":"),
    CEILING: (GRAY, "", (0, (6, 2))),
}
WIDTH = 7.16  # inches: two columns of an IEEE page
TITLES = {"fwd": "forward", "bwd": "backward", "upd": "weight update"}
SMALLEST_RATIO = 1 / 4
LEGEND_COLUMNS = 5

plt.rcParams.update({
    "font.size": 8, "axes.titlesize": 9, "legend.fontsize": 7.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#E4E4E4", "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.2,
    "lines.markersize": 4.5, "pdf.fonttype": 42, "ps.fonttype": 42, "font.family": "DejaVu Sans"})


def style(impl):
    """How an implementation is drawn; one that is not in the table always the same way, made from its name."""
    code = zlib.crc32(impl.encode())
    made = ([RED, BLUE, GREEN, PURPLE, ORANGE][code % 5], "*dpH8"[code // 5 % 5], ["-", "--", "-."][code // 25 % 3])
    color, marker, line = STYLES.get(impl, made)
    hollow = impl.startswith("onednn")
    return {"color": color, "marker": marker, "linestyle": line, "zorder": 2 if hollow else 3,
            "markerfacecolor": "white" if hollow else color, "markeredgecolor": color if hollow else "white",
            "markeredgewidth": 0.9 if hollow else 0.4}


def listing_order(impls):
    known = {impl: place for place, impl in enumerate(STYLES)}
    return sorted(impls, key=lambda impl: (known.get(impl, len(known)), impl))


def sweeps(rows, axis, tied):
    """The series of unnamed problems in which only `axis` (and the sizes tied to it) changes, at three values at
    the least: [(the common sizes, the rows)]."""
    rows = rows[rows["name"] == ""]
    fixed = [size for size in data.SIZES if size not in tied]
    rows = rows.assign(shape=[str(row[1:]) for row in rows[tied].div(rows[axis], axis=0).itertuples()])
    groups = [group for _, group in rows.groupby(fixed + ["shape"], sort=False)]
    return [(group.iloc[0], group) for group in groups if group[axis].nunique() >= 3]


def finish(figure, title, note, lost):
    """Title above, below the panels every implementation once and a note; the panels take what is left."""
    handles = {}
    for ax in figure.axes:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels())))
    names = listing_order(handles)
    height = figure.get_figheight()
    rows = -(-len(names) // LEGEND_COLUMNS)
    figure.text(0.01, 1 - 0.06 / height, title, va="top", fontsize=9, fontweight="bold")
    figure.legend([handles[name] for name in names], names, loc="lower center", ncol=LEGEND_COLUMNS, frameon=False,
                  bbox_to_anchor=(0.5, 0.16 / height), handlelength=2.6, columnspacing=1.5)
    counts = ", ".join(f"{count} {status}" for status, count in lost["status"].value_counts().items()) or "none"
    figure.text(0.01, 0.05 / height, f"{note} Not plotted: {counts}.", fontsize=6.5, color="#505050", va="bottom")
    figure.tight_layout(rect=(0, (0.27 + 0.165 * rows) / height, 1, 1 - 0.22 / height), w_pad=0.8)
    return figure


def throughput(rows, lost, axis, label, title):
    """GFLOP/s against one size, a panel a pass."""
    passes = [p for p in data.PASSES if (rows["pass"] == p).any()]
    figure, axes = plt.subplots(1, len(passes), figsize=(WIDTH, 3.4), sharey=True, squeeze=False)
    sizes = sorted(rows[axis].unique())
    for ax, output in zip(axes[0], passes):
        panel = rows[rows["pass"] == output]
        for impl in listing_order(panel["impl"].unique()):
            line = panel[panel["impl"] == impl].set_index(axis).reindex(sizes)  # a missing point breaks the line
            below, above = (line["work"] / line[end] - line["gflops"] for end in ("t_hi_s", "t_lo_s"))
            ax.errorbar(sizes, line["gflops"], yerr=[-below.fillna(0), above.fillna(0)], label=impl, capsize=1.5,
                        elinewidth=0.7, **style(impl))
        top = data.ceiling(panel)
        ax.axhline(top, label=CEILING, **style(CEILING))
        ax.annotate(f"{top:.0f}", (1, top), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=6.5,
                    color=GRAY)
        ax.set_title(TITLES[output], loc="left")
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel(label)
    axes[0][0].set_ylim(bottom=0)
    axes[0][0].set_ylabel("effective throughput (GFLOP/s)")
    calls = "{:.0f} to {:.0f}".format(*rows["n"].agg(["min", "max"]))
    return finish(figure, title, f"Median of {calls} calls, bars: 95 % rank interval. "
                  "Effective: nominal operations / time.", lost)


def relative(rows, lost, title):
    """Speed of every implementation relative to the best of onednn and onednn-plain, a line a layer."""
    baseline = rows[rows["impl"].isin(data.BASELINE)].groupby(data.GROUP)["t_median_s"].min().rename("t_base_s")
    rows = rows.join(baseline, on=data.GROUP)
    rows = rows.assign(ratio=rows["t_base_s"] / rows["t_median_s"])
    layers = rows.drop_duplicates("problem")
    place = {problem: index for index, problem in enumerate(layers["problem"])}
    passes = [p for p in data.PASSES if (rows["pass"] == p).any()]
    figure, axes = plt.subplots(1, len(passes), figsize=(WIDTH, 1.6 + 0.17 * len(layers)), sharey=True, sharex=True,
                                squeeze=False)
    shown = rows[rows["ratio"] >= SMALLEST_RATIO]
    fastest = max(2, shown["ratio"].max()) * 1.15
    for ax, output in zip(axes[0], passes):
        panel = shown[shown["pass"] == output]
        ax.axvspan(1, fastest, color="#F1F6FA", zorder=0)
        for impl in reversed(listing_order(panel["impl"].unique())):
            points = panel[panel["impl"] == impl]
            ax.plot(points["ratio"], points["problem"].map(place), label=impl, **(style(impl) | {"linestyle": ""}))
        ax.axvline(1, color=BLACK, linewidth=0.8, zorder=1)
        ax.set_title(TITLES[output], loc="left")
        ax.set_xscale("log", base=2)
        ax.set_xlim(SMALLEST_RATIO * 0.9, fastest)
        ticks = [2.0**power for power in range(-2, int(np.log2(fastest)) + 1)]
        ax.set_xticks(ticks, [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:.0f}" for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("speed relative to oneDNN")
        ax.tick_params(axis="y", length=0)
    labels = [f"{row['name']}   {data.size_label(row)}" for _, row in layers.iterrows()]
    axes[0][0].set_yticks(range(len(layers)), labels)
    axes[0][0].set_ylim(len(layers) - 0.4, -0.6)
    slow = (rows["ratio"] < SMALLEST_RATIO).sum()
    return finish(figure, title, "Ratio of median times; 1 is the better of onednn and onednn-plain. "
                  f"Below 1/{1 / SMALLEST_RATIO:.0f}, not shown: {slow}.", lost)


def figures(points, summary):
    """(file name, figure) of everything that these points can show, one setting at a time."""
    for setting, rows in summary.groupby(data.SETTING, sort=False):
        study, threads, isa, cache = setting
        bad = points[(points[data.SETTING] == setting).all(axis=1) & (points["status"] != "OK")]
        where = f"{threads:.0f} threads, {isa}, {cache} caches"
        name = f"{Path(study).name}-t{threads:.0f}-{isa}-{cache}"
        for axis, tied, label in (("ic", ["ic", "oc"], "channels"), ("mb", ["mb"], "batch size")):
            for number, (first, group) in enumerate(sweeps(rows, axis, tied)):
                fixed = "batch {mb:.0f}" if axis == "ic" else "channels {ic:.0f} to {oc:.0f}"
                title = "{kh:.0f}x{kw:.0f} kernel, stride {sh:.0f}, {ih:.0f}x{iw:.0f} image, " + fixed
                lost = bad[bad["problem"].isin(group["problem"])]
                title = f"{title.format(**first)}; {where}"
                yield f"{name}-{label.split()[0]}{number or ''}", throughput(group, lost, axis, label, title)
        named = rows[rows["name"] != ""]
        for batch, group in named[named["impl"].isin(data.BASELINE)].groupby("mb"):
            lost = bad[(bad["name"] != "") & (bad["mb"] == batch)]
            yield (f"{name}-layers-mb{batch:.0f}",
                   relative(named[named["mb"] == batch], lost, f"{Path(study).name}, batch {batch:.0f}; {where}"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\nSPDX")[0])
    parser.add_argument("directory", type=Path, help="what tripass run -o was given, or a directory above it")
    options = parser.parse_args()
    points = data.read_points([options.directory])
    out = options.directory / "figures"
    try:
        out.mkdir(exist_ok=True)
        for name, figure in figures(points, data.summarize(points)):
            figure.savefig(out / f"{name}.png", dpi=200)
            figure.savefig(out / f"{name}.pdf", metadata={"CreationDate": None})
            plt.close(figure)
            print(out / f"{name}.png")
    except OSError as error:
        raise data.DataError(f"{out}: cannot write figures: {error.strerror}") from None


if __name__ == "__main__":
    data.run(main)
