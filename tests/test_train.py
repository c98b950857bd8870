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
        listed = subprocess.run([TRIPASS, "list"], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        every = [line.split()[0] for line in listed if line.split()[2] == "fwd,bwd,upd"]
        self.assertGreaterEqual(len(every), 11)
        for choice in [*every, "fwd:winograd-f4,bwd:im2col,upd:explicit-csr"]:
            for row, right in zip(self.curve(choice, 2), reference, strict=True):
                self.assertAlmostEqual(float(row["loss"]) / float(right["loss"]), 1, delta=1e-3, msg=choice)

    def test_best_takes_what_was_measured(self):
        def measure(name, *problems):
            out = os.path.join(self.directory, name)
            subprocess.run([TRIPASS, "run", "--impl=direct,im2col", "--samples=1", "-o", out, *problems], check=True,
                           capture_output=True)
            return f"--impl=best:{out}/points.csv"

        result = self.train(measure("all", "--batch=lenet-digits"), "--epochs=1")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        result = self.train(measure("one", "--batch=lenet-digits", "--match=conv2"), "--epochs=1")
        missing = [line for line in result.stderr.splitlines() if line.endswith("was measured; `direct` does it")]
        self.assertEqual(len(missing), 8)  # 4 layers of 3 passes, less the first's bwd and what conv2 has

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
