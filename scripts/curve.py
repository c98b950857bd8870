#!/usr/bin/python3
"""Draws the learning curves that `tripass train -o` wrote: loss and held-out accuracy against epochs, one line a
file. Prints the names of the figures, PNG and PDF, and how far apart the files' losses are.
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
    for i, curve in enumerate(curves):
        impl = curve["impl"].iloc[0]
        # Curves that coincide have their marks side by side, some ten on each.
        every = max(1, len(curve) // 10, len(curves) if len(curve) >= 2 * len(curves) else 1)
        look = {"label": impl, "markevery": (i % every, every), **plot.style(impl)}
        left.plot(curve["epoch"], curve["loss"], **look)
        right.plot(curve["epoch"], 100 * curve["test_accuracy"], **look)
    left.set(xlabel="epoch", ylabel="loss (mean over the epoch)", yscale="log")
    right.set(xlabel="epoch", ylabel="held-out accuracy in %")
    figure.suptitle("One curve an implementation: the same network, data and order of examples", fontsize=9)
    figure.legend(*left.get_legend_handles_labels(), loc="lower center", ncol=4, fontsize=7, frameon=False)
    figure.tight_layout(rect=(0, 0.05 + 0.05 * -(-len(curves) // 4), 1, 1))
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\nSPDX")[0])
    parser.add_argument("file", type=Path, nargs="+", help="what tripass train -o wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("curve"), help="the figures, without .png and .pdf (curve in this directory)")
    options = parser.parse_args()
    curves = [read(path) for path in options.file]
    figure = figure_of(curves)
    for suffix, how in ((".png", {"dpi": 200}), (".pdf", {"metadata": {"CreationDate": None}})):
        try:
            figure.savefig(options.output.with_suffix(suffix), **how)
            print(options.output.with_suffix(suffix))
        except OSError as error:
            raise data.DataError(f"{options.output}: cannot write figures: {error.strerror}") from None
    losses = pd.concat([curve.set_index("epoch")["loss"] for curve in curves], axis=1)
    apart = ((losses.max(axis=1) - losses.min(axis=1)) / losses.iloc[0].max()).max()
    print(f"{len(curves)} curve{'s' if len(curves) > 1 else ''}; losses apart by at most {apart:.1e} of the first epoch's loss; held-out accuracy at "
          f"the end {min(c['test_accuracy'].iloc[-1] for c in curves):.4f} to "
          f"{max(c['test_accuracy'].iloc[-1] for c in curves):.4f}")


if __name__ == "__main__":
    data.run(main)
