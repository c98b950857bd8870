#!/usr/bin/python3
"""Draws the learning curves that `tripass train -o` wrote: loss and held-out accuracy against epochs, one line a
file. Prints how far apart the files' losses are. PNG and PDF.
SPDX-License-Identifier: Apache-2.0"""

import argparse
from pathlib import Path

import startup
startup.explain_missing_modules()

import pandas as pd

import plot
import tripass_data as data

COLUMNS = ["epoch", "loss", "train_accuracy", "test_accuracy"]


def read(path):
    try:
        table = pd.read_csv(path)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise data.DataError(f"{path}: {' '.join(str(error).split())}") from None
    missing = [column for column in COLUMNS + ["impl"] if column not in table]
    if missing or table.empty:
        raise data.DataError(f"{path}: not a curve; try a file that tripass train -o wrote")
    return table


def figure_of(curves):
    figure, (left, right) = plot.plt.subplots(1, 2, figsize=(plot.WIDTH, 3.3))
    for curve in curves:
        impl = curve["impl"].iloc[0]
        left.plot(curve["epoch"], curve["loss"], label=impl, markevery=5, **plot.style(impl))
        right.plot(curve["epoch"], 100 * curve["test_accuracy"], label=impl, markevery=5, **plot.style(impl))
    left.set(xlabel="epoch", ylabel="loss (mean over the epoch)", yscale="log")
    right.set(xlabel="epoch", ylabel="held-out accuracy in %")
    figure.legend(*left.get_legend_handles_labels(), loc="lower center", ncol=4, fontsize=6.5, frameon=False)
    figure.tight_layout(rect=(0, 0.15, 1, 1))
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\nSPDX")[0])
    parser.add_argument("file", type=Path, nargs="+", help="what tripass train -o wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("curve"), help="the figures, without .png and .pdf")
    options = parser.parse_args()
    curves = [read(path) for path in options.file]
    figure = figure_of(curves)
    for suffix, how in ((".png", {"dpi": 200}), (".pdf", {"metadata": {"CreationDate": None}})):
        try:
            figure.savefig(options.output.with_suffix(suffix), **how)
        except OSError as error:
            raise data.DataError(f"{options.output}: cannot write figures: {error.strerror}") from None
    losses = pd.concat([curve.set_index("epoch")["loss"] for curve in curves], axis=1)
    apart = ((losses.max(axis=1) - losses.min(axis=1)) / losses.iloc[0].max()).max()
    print(f"{len(curves)} curves; losses apart by at most {apart:.1e} of the first epoch's loss; held-out accuracy at "
          f"the end {min(c['test_accuracy'].iloc[-1] for c in curves):.4f} to "
          f"{max(c['test_accuracy'].iloc[-1] for c in curves):.4f}")


if __name__ == "__main__":
    data.run(main)
