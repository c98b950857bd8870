"""What figures on paper (plot.py) and figures on the page (report.py) have in common: how an implementation looks,
in which order they are listed, and which points make a series.
SPDX-License-Identifier: Apache-2.0"""

import zlib

import tripass_data as data

# Okabe and Ito's colors, safe for the color blind: on white, and lighter where those would drown on black. A family
# shares a hue; the marker and the dashes tell its members apart in gray print too.
COLORS = {
    "black": ("#000000", "#F0F0F0"), "gray": ("#8C8C8C", "#8C8C8C"), "orange": ("#E69F00", "#E69F00"),
    "sky": ("#56B4E9", "#56B4E9"), "green": ("#009E73", "#1DC296"), "blue": ("#0072B2", "#3D9BE0"),
    "red": ("#D55E00", "#F07A2A"), "purple": ("#CC79A7", "#DB92BB")}
CEILING = "measured FMA ceiling"
STYLES = {  # color, marker and line, in matplotlib's letters
    "onednn": ("black", "o", "-"),
    "onednn-plain": ("black", "s", "--"),
    "onednn-winograd": ("black", "^", ":"),
    "direct": ("blue", "D", "-"),
    "im2col": ("green", "P", "-"),
    "im2col-blas": ("green", "X", "--"),
    "winograd-f2": ("orange", "v", "--"),
    "winograd-f4": ("red", "^", "-"),
    "winograd-f6": ("purple", "h", "-."),
    "explicit-dense": ("sky", "<", "-"),
    "explicit-csr": ("sky", ">", "--"),
    "reference": ("gray", "o", ":"),
    CEILING: ("gray", "", "--"),
}
TITLES = {"fwd": "forward", "bwd": "backward", "upd": "weight update", "step": "training step"}
SWEEPS = (("ic", ["ic", "oc"], "channels"), ("mb", ["mb"], "batch size"))  # axis, what changes with it, label


def style(impl):
    """(color name, marker, line, hollow) of an implementation; of one not in the table always the same, made from its
    name. oneDNN, whom all are compared with, is hollow."""
    code = zlib.crc32(impl.encode())
    colors = ["red", "blue", "green", "purple", "orange"]
    made = (colors[code % 5], "*dpH8"[code // 5 % 5], ["-", "--", "-."][code // 25 % 3])
    return *STYLES.get(impl, made), impl.startswith("onednn")


def listing_order(impls):
    known = {impl: place for place, impl in enumerate(STYLES)}
    return sorted(impls, key=lambda impl: (known.get(impl, len(known)), impl))


def passes_of(rows):
    return [output for output in data.PASSES if (rows["pass"] == output).any()]


def sweeps(rows, axis, tied):
    """The series of unnamed problems in which only `axis` (and the sizes tied to it) changes, at three values at
    the least: [(the common sizes, the rows)]."""
    rows = rows[rows["name"] == ""]
    fixed = [size for size in data.SIZES if size not in tied]
    rows = rows.assign(shape=[str(row[1:]) for row in rows[tied].div(rows[axis], axis=0).itertuples()])
    groups = [group for _, group in rows.groupby(fixed + ["shape"], sort=False)]
    return [(group.iloc[0], group) for group in groups if group[axis].nunique() >= 3]


def sweep_title(first, axis):
    fixed = "batch {mb:.0f}" if axis == "ic" else "channels {ic:.0f} to {oc:.0f}"
    return ("{kh:.0f}x{kw:.0f} kernel, stride {sh:.0f}, {ih:.0f}x{iw:.0f} image, " + fixed).format(**first)
