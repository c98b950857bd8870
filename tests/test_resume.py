"""A study that is killed at any moment and resumed: the table is complete, nothing twice, nothing lost.
usage: test_resume.py PATH/TO/tripass. SPDX-License-Identifier: Apache-2.0"""

import collections
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

TRIPASS = os.path.abspath(sys.argv.pop(1))
SEED = int(os.environ.get("TRIPASS_SEED", "1"))
STUDY = ["--impl=direct,im2col", "--aa=direct", "--threads=1", "--reps=2", "--samples=3",
         "mb1ic16ih7oc16kh3ph1", "mb1ic8ih9oc16kh1", "mb1ic3ih9oc8kh3"]
POINTS = 3 * 3 * 3 * 2  # implementations, passes, problems, processes
KEY = ["impl", "pass", "problem", "threads", "rep"]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def mutated(content, choice):
    """One to three changes: a byte or a piece taken out, doubled, or put in; the end cut off."""
    for _ in range(choice.randint(1, 3)):
        at = choice.randrange(len(content) + 1)
        end = min(len(content), at + choice.choice([1, 1, 1, 5, 80, 500]))
        some = choice.choice([b'"', b",", b"\n", b"0", b"\0", b"\xff", b"x", b"null", b"{", b"]", content[at:end]])
        content = choice.choice([content[:at] + content[end:], content[:at] + some + content[at:],
                                 content[:at] + some + content[at + len(some):], content[:at], content])
    return content


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Resume(unittest.TestCase):
    whole = None  # the directory of a complete study

    @classmethod
    def tearDownClass(cls):
        if cls.whole:
            cls.whole.cleanup()

    def begin(self):
        """self.out becomes a complete study: a copy of one that is measured once."""
        if not Resume.whole:
            Resume.whole = tempfile.TemporaryDirectory()
            self.assertEqual(subprocess.run([TRIPASS, "run", "-o", Path(self.whole.name) / "study", *STUDY], capture_output=True).returncode, 0)
        shutil.copytree(Path(self.whole.name) / "study", self.out)

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

    def spoil(self, *path, value="another"):
        """Changes the member of machine.json at that path; value None: takes it out."""
        machine = self.out / "machine.json"
        root = json.loads(machine.read_text())
        entry = root
        for name in path[:-1]:
            entry = entry[name]
        if value is None:
            del entry[path[-1]]
        else:
            entry[path[-1]] = value
        machine.write_text(json.dumps(root))

    def assert_refused(self, result, pattern, before):
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertRegex(result.stderr, rf"^tripass: {pattern}; try .*\n$")
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertEqual(self.files(), before)

    def files(self):
        return {path.name: path.read_bytes() for path in self.out.iterdir() if path.name != "machine.json"}

    def test_another_machine_or_build_is_refused(self):
        self.begin()
        machine, before = self.out / "machine.json", self.files()
        begun = machine.read_text()
        for what, *path in (("machine", "cpu", "model"), ("machine", "topology", "places"), ("machine", "system", "host"),
                            ("build", "build", "version"), ("build", "libraries", "onednn")):
            with self.subTest(path):
                machine.write_text(begun)
                self.spoil(*path)
                self.assert_refused(self.run_study("--resume"),
                                    rf'--resume: .* was begun with another {what}: {path[1]} "another", not .*', before)

    def test_another_study_is_refused_and_the_difference_said(self):
        self.begin()
        before = self.files()
        for change, difference in (
                (["--seed=2"], 'seed "1", not "2"'), (["--samples=4"], "samples 3, not 4"), (["--ci=1.5"], "ci_percent 2.0, not 1.5"),
                (["--impl=direct"], r'impls\[1\] "im2col", not "direct:aa"'), (["--aa=im2col"], r'impls\[2\] "direct:aa", not "im2col:aa"'),
                (["--reps=1"], "repetitions 2, not 1"), (["--phases"], "phases false, not true"), (["--act=relu"], "act .*"),
                (["--bias"], "bias false, not true"), (["--cache=cold"], 'cache "warm", not "cold"'), (["--pass=fwd"], "passes.*"),
                (["--isa=generic"], "isa .*"), (["--max-time=2"], "max_time_s 0.4, not 2.0"), (["--retry-noisy=1"], "retry_noisy.*"),
                (["mb1ic16ih8oc16kh3ph1"], r'layers\[3\] nothing, not "mb1ic16ih8oc16oh8kh3ph1"'),
                (["--match=kh3ph1"], r'layers\[1\] "mb1ic8ih9oc16oh9kh1ph0", not nothing'), (["--lr=0.1"], "lr .*"),
                (["--numa=interleave"], "numa .*")):
            with self.subTest(change):
                self.assert_refused(self.run_study("--seed=1", "--resume", *change), f"--resume: .* another (study|machine): {difference}", before)

    def test_the_same_study_typed_otherwise_goes_on(self):
        batch = self.out.parent / "one.txt"
        batch.write_text("\n".join(STUDY[-3:]))
        options = ["--impl=direct,im2col", "--aa=direct", "--threads=1", "--reps=2", "--samples=3", "--max-time=0.3", "--lr=0.123456789012"]
        self.out.mkdir()
        self.assertEqual(self.run_study(*options, "--force", f"--batch={batch}", study=[]).returncode, 0)
        points = self.out / "points.csv"
        points.write_text("".join(points.read_text().splitlines(keepends=True)[:-3]))
        kept = points.read_text()
        moved = self.out.rename(self.out.parent / "moved")
        batch.rename(batch.with_name("two.txt"))
        words = [*reversed(options), "--res", "--max-time=0.30", "--budget=10m", "--timeout=60", "--memory=1G", "--batch=two.txt", "--output=moved"]
        result = subprocess.run([TRIPASS, "run", *words], cwd=self.out.parent, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.out = moved
        self.assert_complete()
        self.assertTrue((moved / "points.csv").read_text().startswith(kept))

    def test_more_repetitions_may_follow(self):
        self.begin()
        before = (self.out / "points.csv").read_text()
        self.assertEqual(self.run_study("--reps=3", "--resume").returncode, 0)
        self.assertTrue((self.out / "points.csv").read_text().startswith(before))
        self.assertEqual(len(self.rows()), POINTS // 2 * 3)

    def test_a_damaged_file_is_refused_and_left_as_it_is(self):
        self.begin()
        whole = self.files()
        header = whole["points.csv"].decode().split("\n", 1)[0]
        def column(name, value, row):
            fields = next(csv.DictReader([header, row])) | {name: value}
            return ",".join(f'"{field}"' for field in fields.values())
        cases = [("points.csv", 4, lambda row: row.replace(",", ',"', 1), "text behind a closing quote|a quote without its second"),
                 ("points.csv", 2, lambda row: row.replace(",", ',"', 1), "text behind .*|a quote .*"),
                 ("points.csv", 5, lambda row: "x" + row.replace("d", '"', 1), "a quote within a field"),
                 ("points.csv", 4, lambda row: row + "," * 200, "too many fields"),
                 ("points.csv", 4, lambda row: row + ",", "another number of fields than the first line"),
                 ("points.csv", 4, lambda row: "", "another number of fields than the first line"),
                 ("points.csv", 4, lambda row: row.replace("a", "\0", 1), "a zero byte"),
                 ("points.csv", 4, lambda row: row + "\n" + row, "a point that has been above already"),
                 ("points.csv", 1, lambda row: row.replace("impl", "who"), "other columns"),
                 ("points.csv", 3, lambda row: column("threads", "1x", row), "no point of this study"),
                 ("points.csv", 3, lambda row: column("rep", "", row), "no point of this study"),
                 ("points.csv", 3, lambda row: column("rep", " 0abc", row), "no point of this study"),
                 ("points.csv", 3, lambda row: column("status", "WHAT", row), "a status that there is not"),
                 ("points.csv", 3, lambda row: column("n", "3.5", row), "a number of samples that is none"),
                 ("samples.csv", 7, lambda row: row.replace(",", ',"', 1), "text behind .*|a quote .*"),
                 ("samples.csv", 7, lambda row: row.rsplit(",", 1)[0] + "x,", "no point of this study")]
        for name, line, damage, why in cases:
            with self.subTest(why, name=name, line=line):
                rows = whole[name].decode().split("\n")
                rows[line - 1] = damage(rows[line - 1])
                (self.out / name).write_text("\n".join(rows))
                before = self.files()
                self.assert_refused(self.run_study("--resume"), rf".*/{name}:\d+: ({why})", before)
                (self.out / name).write_bytes(whole[name])
        doubled = self.run_study("--resume")  # and undamaged again it is complete
        self.assertEqual((doubled.returncode, self.files()), (0, whole))

    def test_only_an_empty_points_csv_is_a_beginning(self):
        self.begin()
        points = self.out / "points.csv"
        header = points.read_text().splitlines(keepends=True)[0]
        for content in ("", header[:20], header):
            points.write_text(content)
            self.assertEqual(self.run_study("--resume").returncode, 0)
            self.assert_complete()
        points.unlink()
        points.mkdir()  # is no file that could be read
        self.assertRegex(self.run_study("--resume").stderr, r"^tripass: .*points.csv: Is a directory; try .*\n$")
        points.rmdir()
        points.symlink_to("points.csv")
        self.assertRegex(self.run_study("--resume").stderr, r"^tripass: .*points.csv: Too many levels .*; try .*\n$")

    def test_a_point_without_all_its_samples_is_measured_again(self):
        self.begin()
        points, samples = self.out / "points.csv", self.out / "samples.csv"
        rows, lines = points.read_text().splitlines(), samples.read_text().splitlines(keepends=True)
        lost = [tuple(row[key] for key in KEY) for row in read(samples)[5:9:3]]  # of two points
        samples.write_text("".join(lines[:6] + lines[7:9] + lines[10:]))
        result = self.run_study("--resume")
        self.assertEqual(result.returncode, 0)
        self.assertIn("2 rows of points.csv are measured again: samples.csv lacks samples of them\n", result.stderr)
        self.assert_complete()
        kept = [row for row, point in zip(rows[1:], csv.DictReader(rows)) if tuple(point[key] for key in KEY) not in lost]
        self.assertEqual(points.read_text().splitlines()[1:-2], kept)

    def test_who_was_ended_from_outside_is_measured_again(self):
        self.begin()
        points = self.out / "points.csv"
        for reason, again in (("Killed (out of memory?)", True), ("Terminated", True), ("Interrupt", True), ("Hangup", True),
                              ("CPU time limit exceeded outside of any implementation", True), ("Segmentation fault", False)):
            with self.subTest(reason):
                rows = read(points)
                rows[3] |= {"status": "CRASH", "reason": reason, "n": "0"}
                with open(points, "w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
                self.assertEqual(self.run_study("--resume").returncode, 0 if again else 1)
                self.assertEqual(["CRASH" in row["status"] for row in self.rows()].count(True), 0 if again else 1)
        self.assertEqual(len(self.rows()), POINTS)

    def test_what_a_killed_resume_left_is_no_hindrance(self):
        self.begin()
        for name in ("points.csv", "samples.csv", "machine.json"):
            (self.out / f"{name}.tmp").write_text("half of")
        self.assertEqual(self.run_study("--resume").returncode, 0)
        self.assert_complete()
        self.assertEqual(list(self.out.glob("*.tmp")), [])

    def test_a_damaged_machine_json_is_one_line(self):
        self.begin()
        machine, before = self.out / "machine.json", self.files()
        whole = machine.read_text()
        cases = ["", "[]", "{}", "nonsense\n\0", whole[:-20], whole.replace('"start"', '"begin"'), "[" * 5000]
        for path, value in ((("study", "layers"), None), (("study", "layers"), 3), (("study",), "x"), (("study",), None), (("ceilings",), [3]),
                            (("ceilings",), "x"), (("resumed",), "x"), (("start",), 5), (("cpu",), None), (("topology", "places"), [None])):
            machine.write_text(whole)
            self.spoil(*path, value=value)
            cases.append(machine.read_text())
        for case in cases:
            with self.subTest(case[:40]):
                machine.write_text(case)
                self.assert_refused(self.run_study("--resume"), ".*", before)
        machine.write_text(whole)
        self.spoil("study", "command_line", value=[None, 3, {}])  # how it was typed does not matter
        self.assertEqual(self.run_study("--resume").returncode, 0)

    def test_random_damage_never_loses_a_whole_row(self):
        """A small study that only checks, one to three random changes to one of its files, then --resume."""
        study = ["check", "--impl=reference,direct", "--threads=1", "--pass=fwd,bwd", "--reps=2", "-o", self.out,
                 "mb1ic4ih6oc4kh3ph1", "mb1ic2ih5oc3kh1"]
        self.assertEqual(subprocess.run([TRIPASS, *study], capture_output=True).returncode, 0)
        whole = {path.name: path.read_bytes() for path in self.out.iterdir()}
        choice = random.Random(SEED)
        refused = 0
        for number in range(int(os.environ.get("TRIPASS_TEST_PROBLEMS", "150"))):
            name = choice.choice(["machine.json", "points.csv", "points.csv", "samples.csv"])
            damaged = whole | {name: mutated(whole[name], choice)}
            for file, content in damaged.items():
                (self.out / file).write_bytes(content)
            with self.subTest(number=number, seed=SEED, file=name):
                result = subprocess.run([TRIPASS, *study, "--resume"], capture_output=True, text=True, errors="replace", timeout=60)
                after = {path.name: path.read_bytes() for path in self.out.iterdir()}
                self.assertIn(result.returncode, (0, 1, 2), result.stderr)
                if result.returncode == 2:
                    refused += 1
                    self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
                    self.assertEqual(after, damaged)
                else:
                    kept = set(whole["points.csv"].split(b"\n")) & set(damaged["points.csv"].split(b"\n")[:-1])
                    self.assertLessEqual(kept, set(after["points.csv"].split(b"\n")))
                    self.assertEqual(after["points.csv"].count(b"\n"), 17)
        self.assertGreater(refused, 0)

    def test_without_resume_nothing_is_touched(self):
        self.begin()
        self.assertEqual(self.run_study().returncode, 2)


if __name__ == "__main__":
    unittest.main()
