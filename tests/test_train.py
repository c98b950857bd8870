#!/usr/bin/python3
"""`tripass train` learns real handwritten digits, and complains about bad data in one line. Status 77 (skipped)
without scikit-learn.

    test_train.py TRIPASS SCRIPTS_DIRECTORY

SPDX-License-Identifier: Apache-2.0
"""
import csv
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TRIPASS, SCRIPTS = sys.argv[1:3]
if not importlib.util.find_spec("sklearn"):
    sys.exit(77)


class Train(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp()
        cls.data = os.path.join(cls.directory, "digits")
        subprocess.run([sys.executable, os.path.join(SCRIPTS, "digits.py"), cls.data], check=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def train(self, *arguments, data=None):
        return subprocess.run([TRIPASS, "train", f"--data={data or self.data}", *arguments], capture_output=True,
                              text=True)

    def curve(self, choice, epochs):
        path = os.path.join(self.directory, "curve.csv")
        result = self.train(f"--impl={choice}", f"--epochs={epochs}", "-o", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(path, newline="") as file:
            return list(csv.DictReader(file))

    def test_learns(self):
        rows = self.curve("direct", 20)
        self.assertEqual(len(rows), 20)
        self.assertGreaterEqual(float(rows[-1]["test_accuracy"]), 0.97)

    def test_curves_agree(self):
        reference = self.curve("reference", 2)
        for choice in ("winograd-f6", "fwd:winograd-f4,bwd:im2col,upd:explicit-csr"):
            for row, right in zip(self.curve(choice, 2), reference, strict=True):
                self.assertAlmostEqual(float(row["loss"]) / float(right["loss"]), 1, delta=1e-3)

    def test_bad_data(self):
        bad = os.path.join(self.directory, "bad")
        shutil.copytree(self.data, bad)
        with open(os.path.join(bad, "train-labels.idx"), "r+b") as file:
            file.truncate(100)
        for arguments, words in (({"data": bad}, "truncated"), ({"data": self.directory}, "No such file")):
            result = self.train(**arguments)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)
        result = self.train("--impl=nobody")
        self.assertEqual((result.returncode, result.stderr.count("\n")), (2, 1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
