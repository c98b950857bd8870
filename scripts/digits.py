#!/usr/bin/python3
"""Writes the 1797 handwritten 8x8 digits that scikit-learn ships (Alpaydin and Kaynak, "Optical Recognition of
Handwritten Digits", UCI Machine Learning Repository, 1998) as four IDX files for `tripass train`.

    digits.py DIR        train-images.idx train-labels.idx (4 of 5 examples), test-images.idx test-labels.idx

SPDX-License-Identifier: Apache-2.0
"""
import os
import struct
import sys

import startup
startup.explain_missing_modules()


def idx_write(path, array):
    with open(path, "wb") as file:
        file.write(struct.pack(">BBBB", 0, 0, 8, array.ndim))
        file.write(struct.pack(">%dI" % array.ndim, *array.shape))
        file.write(array.astype("uint8").tobytes())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    from sklearn.datasets import load_digits
    digits = load_digits()
    # Every fifth example is held out: the file is in order of its 43 writers, so both parts have them all.
    held = [i % 5 == 4 for i in range(len(digits.target))]
    os.makedirs(sys.argv[1], exist_ok=True)
    for part, mask in (("train", [not h for h in held]), ("test", held)):
        idx_write(os.path.join(sys.argv[1], part + "-images.idx"), digits.images[mask])
        idx_write(os.path.join(sys.argv[1], part + "-labels.idx"), digits.target[mask])


if __name__ == "__main__":
    main()
