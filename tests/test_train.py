#!/usr/bin/python3
"""`tripass train` learns real handwritten digits, and complains about bad data in one line. Status 77 (skipped)
without scikit-learn.

    test_train.py TRIPASS SCRIPTS_DIRECTORY

SPDX-License-Identifier: Apache-2.0
"""
import csv
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TRIPASS, SCRIPTS = sys.argv[1:3]
if not importlib.util.find_spec("sklearn"):
    sys.exit(77)
import numpy  # noqa: E402 scikit-learn has it


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
            return f"--impl=best:{out}"

        result = self.train(measure("all", "--batch=lenet-digits"), "--epochs=1")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertNotIn("does it", result.stdout)
        result = self.train(measure("one", "--batch=lenet-digits", "--match=conv2") + "/points.csv", "--epochs=1")
        missing = [line for line in result.stdout.splitlines() if line.endswith("(the study did not measure it)")]
        self.assertEqual(len(missing), 8)  # 4 layers of 3 passes, less the first's bwd and what conv2 has

    def test_the_network_is_shown(self):
        result = self.train("--impl=winograd-f4", "--epochs=1")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        layers = [line.split() for line in result.stdout.splitlines() if re.match(r" +\d  [3ma]", line)]
        self.assertEqual([layer[1] for layer in layers], ["3x3", "3x3", "maximum", "3x3", "mean", "affine"])
        self.assertEqual(layers[0][3:6] + layers[0][7:], ["1x8x8", "8x8x8", "80", "winograd-f4", "-", "winograd-f4"])
        self.assertEqual(layers[5][3:6] + layers[5][7:], ["64x1x1", "10x1x1", "650"] + ["direct*"] * 3)
        self.assertEqual(result.stdout.count("`direct` does it (winograd-f4: 3x3 kernels only)"), 3)

    def test_the_parts_of_an_epoch_are_the_epoch(self):
        for row in self.curve("direct", 2):
            parts = sum(float(row[f"t_{part}_s"]) for part in ("fwd", "bwd", "upd", "layouts", "slopes", "pooling", "rest"))
            self.assertAlmostEqual(parts, float(row["t_epoch_s"]), places=6)
            self.assertTrue(all(float(value) >= 0 for name, value in row.items() if name.endswith("_s")))

    def test_one_thread_is_one_thread(self):
        process = subprocess.Popen([TRIPASS, "train", f"--data={self.data}", "--threads=1", "--epochs=10"],
                                   stdout=subprocess.DEVNULL)
        most = 0
        while process.poll() is None:
            try:
                most = max(most, len(os.listdir(f"/proc/{process.pid}/task")))
            except FileNotFoundError:  # it has ended
                pass
        self.assertEqual((process.returncode, most), (0, 1))

    def test_several_thread_counts_are_refused(self):
        result = self.train("--threads=1,2")
        self.assertEqual((result.returncode, result.stderr.count("\n")), (2, 1))
        self.assertIn("--threads", result.stderr)

    def test_larger_images(self):
        """5000 images of 28 x 28 in the format of MNIST: the digits, three times as large, moved about."""
        from sklearn.datasets import load_digits
        sys.path.insert(0, SCRIPTS)
        from digits import idx_write
        digits, random = load_digits(), numpy.random.default_rng(1)
        data = os.path.join(self.directory, "large")
        os.makedirs(data)
        for part, count, first in (("train", 5000, 0), ("test", 500, 1400)):
            chosen = random.integers(first, first + 397 + 1000 * (part == "train"), count)
            images = numpy.zeros((count, 28, 28))
            for image, (y, x), digit in zip(images, random.integers(0, 5, (count, 2)), digits.images[chosen]):
                image[y:y + 24, x:x + 24] = numpy.kron(digit, numpy.ones((3, 3)))
            idx_write(os.path.join(data, f"{part}-images.idx"), 15 * images)
            idx_write(os.path.join(data, f"{part}-labels.idx"), digits.target[chosen])
        result = self.train("--epochs=1", "-o", os.path.join(self.directory, "large.csv"), data=data)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(os.path.join(self.directory, "large.csv"), newline="") as file:
            self.assertGreater(float(next(csv.DictReader(file))["train_accuracy"]), 0.6)

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
