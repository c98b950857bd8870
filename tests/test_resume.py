"""A study that is killed at any moment and resumed: the table is complete, nothing twice, nothing lost.
usage: test_resume.py PATH/TO/tripass. SPDX-License-Identifier: Apache-2.0"""

import collections
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

TRIPASS = sys.argv.pop(1)
SEED = int(os.environ.get("TRIPASS_SEED", "1"))
STUDY = ["--impl=direct,im2col", "--aa=direct", "--threads=1", "--reps=2", "--samples=3",
         "mb1ic16ih7oc16kh3ph1", "mb1ic8ih9oc16kh1", "mb1ic3ih9oc8kh3"]
POINTS = 3 * 3 * 3 * 2  # implementations, passes, problems, processes
KEY = ["impl", "pass", "problem", "threads", "rep"]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Resume(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name) / "study"

    def command(self, *more, study=STUDY):
        return [TRIPASS, "run", "-o", self.out, *study, *more]

    def run_study(self, *more, study=STUDY):
        return subprocess.run(self.command(*more, study=study), capture_output=True, text=True)

    def rows(self):
        return read(self.out / "points.csv") if (self.out / "points.csv").exists() else []

    def phases(self):
        return [tuple(row[key] for key in KEY + ["phase"]) for row in read(self.out / "phases.csv")]

    def assert_complete(self):
        points = [tuple(row[key] for key in KEY) for row in self.rows()]
        self.assertEqual(len(points), POINTS)
        self.assertEqual(len(set(points)), POINTS)
        self.assertEqual({row["status"] for row in self.rows()}, {"OK"})
        samples = [tuple(row[key] for key in KEY) for row in read(self.out / "samples.csv")]
        self.assertEqual(sorted(samples), sorted(3 * points))
        machine = json.loads((self.out / "machine.json").read_text())
        self.assertTrue(machine["completed"])
        self.assertEqual([ceiling["threads"] for ceiling in machine["ceilings"]], [1])

    def kill_when(self, rows, whom, *more):
        """Starts or resumes the study and kills once so many rows are there. False: it ended before."""
        process = subprocess.Popen(self.command("--resume", *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if len(self.rows()) >= rows:
                victims = {"supervisor": [process.pid], "worker": children(process.pid)}[whom]
                for victim in victims:
                    os.kill(victim, signal.SIGKILL)
                process.wait()
                return True
            time.sleep(0.001)
        return False

    def killed_and_resumed(self, *more):
        choice = random.Random(SEED)
        for _ in range(4):
            before = len(self.rows())
            whom = choice.choice(["supervisor", "worker"])
            self.kill_when(choice.randint(before, before + POINTS // 4), whom, *more)
            kept = {tuple(row.values()) for row in self.rows()[:before] if row["status"] == "OK"}
        result = self.run_study("--resume", *more)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_complete()
        self.assertLessEqual(kept, {tuple(row.values()) for row in self.rows()})  # measured once, not again

    def test_killed_at_random_moments(self):
        self.killed_and_resumed()

    def test_phases_are_resumed_too(self):
        self.killed_and_resumed("--phases")
        self.assert_phases_complete()

    def test_phases_without_their_point_are_measured_again(self):
        self.assertEqual(self.run_study("--phases").returncode, 0)
        points, phases = self.out / "points.csv", self.out / "phases.csv"
        before = phases.read_text().splitlines(keepends=True)
        rows = points.read_text().splitlines(keepends=True)
        lost = {tuple(row[key] for key in KEY) for row in csv.DictReader([rows[0], *rows[-3:]])}
        kept = [line for line, phase in zip(before[1:], self.phases()) if phase[:-1] not in lost]
        points.write_text("".join(rows[:-3]))
        phases.write_text("".join(before[:-1]) + before[-1][:40])
        self.assertEqual(self.run_study("--phases", "--resume").returncode, 0)
        self.assert_complete()
        self.assert_phases_complete()
        self.assertEqual(phases.read_text().splitlines(keepends=True)[1:len(kept) + 1], kept)

    def assert_phases_complete(self):
        """Each point has its phases, each once, and those of its run are all of the run."""
        phases = self.phases()
        self.assertEqual(len(phases), len(set(phases)))
        parts = collections.Counter()
        for row in read(self.out / "phases.csv"):
            parts[tuple(row[key] for key in KEY)] += float(row["pct_run"] or 0)
        self.assertEqual(set(parts), {tuple(row[key] for key in KEY) for row in self.rows()})
        for part in parts.values():
            self.assertAlmostEqual(part, 100, places=3)

    def test_a_torn_line_is_no_row(self):
        self.assertEqual(self.run_study().returncode, 0)
        points, samples = self.out / "points.csv", self.out / "samples.csv"
        rows = points.read_text().splitlines(keepends=True)
        points.write_text("".join(rows[:-3]) + rows[-3][:40])
        with open(samples, "a") as file:
            file.write("direct,fwd,mb1ic16")
        self.assertEqual(self.run_study("--resume").returncode, 0)
        self.assert_complete()
        self.assertEqual(points.read_text().splitlines(keepends=True)[:len(rows) - 3], rows[:-3])

    def test_a_complete_study_is_left_as_it_is(self):
        self.assertEqual(self.run_study("--resume").returncode, 0)  # begins
        before = (self.out / "points.csv").read_bytes()
        self.assertEqual(self.run_study("--resume").returncode, 0)
        self.assertEqual((self.out / "points.csv").read_bytes(), before)
        self.assert_complete()

    def test_another_study_machine_or_build_is_refused(self):
        self.assertEqual(self.run_study("--seed=1").returncode, 0)
        machine = self.out / "machine.json"
        begun, kept = json.loads(machine.read_text()), (self.out / "points.csv").read_bytes()
        def spoiled(*path):
            copy = json.loads(machine.read_text())
            entry = copy
            for name in path[:-1]:
                entry = entry[name]
            entry[path[-1]] = "another"
            return copy
        cases = [("command line", begun, "--seed=2"), ("machine", spoiled("cpu", "model"), "--seed=1"),
                 ("machine", spoiled("system", "host"), "--seed=1"), ("build", spoiled("build", "version"), "--seed=1"),
                 ("build", spoiled("libraries", "onednn"), "--seed=1")]
        for what, content, seed in cases:
            with self.subTest(what):
                machine.write_text(json.dumps(content))
                result = self.run_study(seed, "--resume")
                self.assertEqual(result.returncode, 2)
                self.assertRegex(result.stderr, rf"^tripass: --resume: .* another {what}; try .*\n$")
                self.assertEqual((self.out / "points.csv").read_bytes(), kept)

    def test_without_resume_nothing_is_touched(self):
        self.assertEqual(self.run_study().returncode, 0)
        self.assertEqual(self.run_study().returncode, 2)


if __name__ == "__main__":
    unittest.main()
