"""The twelve rules of the README's table, as far as a small run can show that they are kept.
SPDX-License-Identifier: Apache-2.0
usage: test_rules.py PATH/TO/tripass"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import numpy as np
    import pandas as pd
    from scipy import stats
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

TRIPASS = sys.argv.pop(1)
KEY = ["impl", "pass", "problem", "threads", "rep"]


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        study = Path(folder.name) / "study"
        subprocess.run([TRIPASS, "run", "-o", study, "--reps=2", "--samples=9", "--max-time=60", "--seed=7",
                        "mb1ic8ih9oc8kh5sh2ph2"],
                       check=True, capture_output=True)
        cls.points = pd.read_csv(study / "points.csv", keep_default_na=False, na_values=[""])
        cls.good = cls.points[cls.points["status"] == "OK"]
        cls.rounds = pd.read_csv(study / "samples.csv")
        cls.samples = cls.rounds.groupby(KEY)["t_s"].apply(np.sort)
        cls.machine = json.loads((study / "machine.json").read_text())

    def each(self):
        """(row, its sorted samples) of every measured point; where the cores moved the row is about some of them."""
        self.assertGreater(len(self.good), 20)
        return [(row, self.samples[tuple(row[KEY])]) for _, row in self.good.iterrows()
                if "moved" not in str(row["flags"]).split()]

    def test_2_what_is_left_out_says_why(self):
        skipped = self.points[self.points["status"] == "SKIP"]
        self.assertIn("winograd-f4", set(skipped["impl"]))  # 5x5
        self.assertTrue(skipped["reason"].notna().all())

    def test_3_rates_come_from_the_median_time(self):
        for row, _ in self.each():
            self.assertAlmostEqual(row["gflops"] * row["t_median_s"] * 1e9 / row["flop"], 1, places=6)

    def test_5_and_6_intervals_are_order_statistics(self):
        for row, samples in self.each():
            self.assertLessEqual(row["t_lo_s"], row["t_median_s"])
            self.assertLessEqual(row["t_median_s"], row["t_hi_s"])
            low, high = (np.flatnonzero(abs(samples / row[end] - 1) < 1e-6) for end in ("t_lo_s", "t_hi_s"))
            self.assertTrue(len(low) and len(high), "an end that is no sample")
            binomial = stats.binom(len(samples), 0.5)
            coverage = binomial.cdf(high[-1]) - binomial.cdf(low[0])  # equal samples share their ranks
            self.assertGreaterEqual(coverage, 0.95, tuple(row[KEY]))

    def test_7_all_meet_in_rounds_of_drawn_order(self):
        self.assertEqual({str(seed) for seed in self.points["seed"]}, {"7"})
        for _, group in self.rounds.groupby(["pass", "rep"]):
            orders = [tuple(samples.sort_values("order")["impl"]) for _, samples in group.groupby("round")]
            self.assertTrue(all(len(order) == len(set(order)) for order in orders))  # each once a round
            self.assertGreater(len(set(orders)), 1)

    def test_8_all_samples_are_kept(self):
        for row, samples in self.each():
            self.assertEqual(len(samples), row["n"])
            self.assertAlmostEqual(row["t_min_s"] / samples[0], 1, places=6)
            self.assertAlmostEqual(row["t_median_s"] / np.median(samples), 1, places=6)

    def test_8_each_sample_has_its_round_s_handoff(self):
        self.assertEqual(self.rounds.columns[-1], "handoff_ns")
        known = self.rounds[self.rounds["handoff_ns"].notna()].merge(self.good[self.good["threads"] > 1], on=KEY)
        self.assertEqual(len(known), self.rounds["handoff_ns"].notna().sum())  # none with one thread
        self.assertTrue((known["handoff_ns_x"] > 0).all())
        for _, point in known.groupby(KEY):
            self.assertTrue(point["handoff_ns_x"].min() <= point["handoff_ns_y"].iloc[0] <= point["handoff_ns_x"].max())

    def test_9_the_setup_is_documented(self):
        for part, keys in {"study": ["command_line", "seed", "isa", "cache", "threads"], "cpu": ["model", "best_isa"],
                           "build": ["version", "compiler", "flags"], "libraries": ["onednn", "openblas", "openmp"],
                           "topology": ["allowed_cpus", "cores", "caches"], "system": ["kernel", "distribution", "memory"]
                           }.items():
            for key in keys:
                self.assertTrue(self.machine[part][key], f"{part}.{key}")
        self.assertIn("environment", self.machine)

    def test_10_how_time_is_taken_is_said(self):
        told = subprocess.run([TRIPASS, "run", "--help"], check=True, capture_output=True, text=True).stdout
        self.assertIn("fork and join", self.machine["timing"])
        self.assertIn(self.machine["timing"], " ".join(told.split()))

    def test_11_each_rate_has_its_upper_bound(self):
        for row, _ in self.each():
            self.assertAlmostEqual(row["gflops"] / row["peak_gflops"] * 100 / row["pct_peak"], 1, places=6)
        self.assertTrue(self.machine["ceilings"])
        for ceiling in self.machine["ceilings"]:
            self.assertEqual((ceiling["handoff_step"], len(ceiling["handoff_ns"])), (1, ceiling["threads"]))
            self.assertTrue(all(row[i] is None for i, row in enumerate(ceiling["handoff_ns"])))


if __name__ == "__main__":
    unittest.main()
