"""Whatever an implementation does to its process costs its own points and no others.
usage: test_bad_processes.py PATH/TO/tripass_bad. SPDX-License-Identifier: Apache-2.0"""

import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from attack import PROBLEM, TRIPASS_BAD, Attack

EXIT_0 = "ended the process with status 0"
# What the implementation does: the status of its rows, why, and what is said beside.
KINDS = {
    "abort": ("CRASH", "Aborted", ""),
    "exit_0": ("CRASH", EXIT_0, ""),
    "exit_2": ("CRASH", "ended the process with status 2", ""),
    "exit_127": ("CRASH", "ended the process with status 127", ""),
    "raw_exit": ("CRASH", EXIT_0, ""),
    "quick_exit": ("CRASH", EXIT_0, ""),
    "exec": ("CRASH", EXIT_0, ""),
    "thread_exit": ("CRASH", EXIT_0, ""),
    "terminate": ("CRASH", "Terminated", ""),
    "plan_exit": ("CRASH", EXIT_0, ""),
    "refuse_exit": ("CRASH", EXIT_0, ""),
    "import_exit": ("CRASH", EXIT_0, ""),
    "export_exit": ("CRASH", EXIT_0, ""),
    "destroy_crash": ("OK", "", "bad-destroy_crash .* Aborted while its plan was destroyed"),
    "destroy_exit": ("OK", "", "bad-destroy_exit .* status 0 while its plan was destroyed"),
    "destroy_hang": ("OK", "", "bad-destroy_hang .* no progress for 3 s while its plan was destroyed"),
    "atexit_2": ("OK", "", "ended badly after its last point: ended the process with status 2"),
    "atexit_crash": ("OK", "", "ended badly after its last point: Aborted"),
    "atexit_hang": ("OK", "", "ended badly after its last point: the process does not end"),
    "children": ("OK", "", None),
    "children_crash": ("CRASH", "Aborted", ""),
    "fork_returns": ("OK", "", None),
    "close_hang": ("CRASH", "closed the pipe to the supervisor", ""),
    "close_all": ("CRASH", "ended the process with status 1", ""),
    "garbage": ("OK", "", None),
    "board_0": ("OK", "", None),
    "board_1": ("OK", "", None),
    "board_ff": ("OK", "", None),
    "print": ("OK", "", None),
}


class BadProcesses(Attack):
    def completed(self):
        return json.loads((self.out / "machine.json").read_text())["completed"]

    def assert_innocent(self, name, status, passes=2):
        self.assertEqual(self.statuses(), {"direct": ["OK"] * passes, name: [status] * passes, "im2col": ["OK"] * passes})

    def test_each_costs_its_own_points_only(self):
        for kind, (status, reason, said) in KINDS.items():
            with self.subTest(kind):
                name = f"bad-{kind}"
                result = self.study("check", f"--impl=direct,{name},im2col", "--threads=1", "--pass=fwd,bwd",
                                    "--timeout=3", "--force", PROBLEM)
                self.assertEqual(result.returncode, 0 if said is None else 1, result.stderr)
                self.assert_innocent(name, status)
                self.assertEqual({row["reason"] for row in self.rows() if row["impl"] == name}, {reason})
                if said:
                    self.assertRegex(result.stderr, said)
                self.assertTrue(self.completed())

    def test_team_of_two(self):
        for kind in ["exit_0", "exec", "children_crash"]:
            with self.subTest(kind):
                self.study("check", f"--impl=direct,bad-{kind},im2col", "--threads=2", "--pass=fwd,bwd", "--force", PROBLEM)
                self.assert_innocent(f"bad-{kind}", "CRASH")

    def test_prints_are_no_rows(self):
        result = subprocess.run([TRIPASS_BAD, "check", "--impl=bad-print", "--threads=1", "--pass=fwd", "-o", "-", PROBLEM],
                                capture_output=True, text=True)
        self.assertEqual(len(result.stdout.splitlines()), 2)
        self.assertIn("a,line,from,run", result.stderr)


class Environment(Attack):
    STUDY = ["--impl=direct,im2col", "--threads=2", "--pass=fwd", PROBLEM]

    def run_in(self, environment, *arguments, **more):
        return subprocess.run([TRIPASS_BAD, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, **more)

    def test_a_team_that_cannot_be_started_is_one_line_and_no_row(self):
        result = self.run_in({"OMP_STACKSIZE": "100G"}, "check", *self.STUDY, "-o", self.out)
        self.assertEqual(result.returncode, 2)
        self.assertIn("did not come to its first point", result.stderr)
        self.assertEqual(self.rows(), [])

    def test_thread_limit_is_set_aside(self):
        result = self.run_in({"OMP_THREAD_LIMIT": "1"}, "check", *self.STUDY, "-o", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({row["pinned"] for row in self.rows()}, {"1"})

    def test_verbose_is_not_timed(self):
        result = self.run_in({"ONEDNN_VERBOSE": "1", "DNNL_VERBOSE": "1"}, "run", "--impl=onednn", "--threads=1", "--pass=fwd",
                             "--reps=1", "--samples=2", PROBLEM, "-o", "-")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout.splitlines()), 2)
        self.assertIn("ONEDNN_VERBOSE is set aside", result.stderr)
        self.assertNotIn("verbose,", result.stderr)

    def limited(self, what, value, *arguments):
        return self.run_in({}, *arguments, preexec_fn=lambda: resource.setrlimit(what, (value, value)))

    def test_file_size_limit(self):
        result = self.limited(resource.RLIMIT_FSIZE, 8192, "check", *self.STUDY[:-1], "--reps=40", PROBLEM, "-o", self.out)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(len([line for line in result.stderr.splitlines() if line.startswith("tripass:")]), 1, result.stderr)
        self.assertTrue((self.out / "points.csv").read_text().endswith("\n"))

    def test_little_stack(self):
        result = self.limited(resource.RLIMIT_STACK, 64 << 10, "check", *self.STUDY, "-o", self.out)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"^tripass: ulimit -s 64: .*\n$")

    def test_closed_descriptors(self):
        for closed in [[1], [1, 2], [0, 1, 2], [0]]:
            with self.subTest(closed=closed):
                process = subprocess.run([TRIPASS_BAD, "check", *self.STUDY, "--force", "-o", self.out],
                                         preexec_fn=lambda: [os.close(file) for file in closed])
                self.assertEqual(process.returncode, 0)
                self.assertEqual([row["status"] for row in self.rows()], ["OK", "OK"])
        listed = subprocess.run(["sh", "-c", '"$0" list --impl=direct >&-', TRIPASS_BAD], stderr=subprocess.DEVNULL)
        self.assertEqual(listed.returncode, 2)


    def test_a_witness_that_crashes_costs_nobody(self):
        """oneDNN aborts in whatever process asks it: the group is checked once more without a second witness."""
        shim = self.out.parent / "shim.so"
        code = "#include <stdlib.h>\nint dnnl_primitive_execute(void) { abort(); }\n"
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", shim], input=code, text=True, check=True)
        result = self.run_in({"LD_PRELOAD": str(shim)}, "check", *self.STUDY, "-o", str(self.out), timeout=120)
        self.assertEqual(self.statuses(), {"direct": ["OK"], "im2col": ["OK"]}, result.stderr)
        self.assertTrue(all("no second witness" in row["reason"] for row in self.rows()))


class Files(Attack):
    LONG = ["--impl=direct,im2col", "--threads=1", "--reps=30", "--pass=fwd,bwd", PROBLEM]

    def start(self, *arguments):
        """A new study under way: some rows are there."""
        shutil.rmtree(self.out, ignore_errors=True)
        process = subprocess.Popen([TRIPASS_BAD, "check", *arguments, "-o", self.out], stderr=subprocess.PIPE, text=True)
        points = self.out / "points.csv"
        while not points.exists() or points.read_text().count("\n") < 3:
            time.sleep(0.001)
        return process

    def ended(self, process):
        said = process.communicate(timeout=120)[1]
        return process.returncode, said

    def test_one_at_a_time(self):
        first = self.start(*self.LONG)
        for more in ["--resume", "--force"]:
            second = self.study("check", *self.LONG, more)
            self.assertEqual(second.returncode, 2)
            self.assertRegex(second.stderr, r"^tripass: .*: another tripass writes there; try .*\n$")
        self.assertEqual(self.ended(first)[0], 0)
        self.assertEqual(len(self.rows()), 120)
        self.assertEqual(sorted(os.listdir(self.out)), ["machine.json", "points.csv", "samples.csv"])

    def test_a_batch_file_that_changes(self):
        batch = self.out.parent / "batch.txt"
        batch.write_text(f"{PROBLEM}\nmb1ic3ih5oc4kh3\n")
        for text in [PROBLEM, f"{PROBLEM}\n" * 2 + "mb2ic5ih7oc4kh3\n" * 3 + "mb3ic1ih5oc1kh1\n", None]:
            with self.subTest(text=text):
                process = self.start(*self.LONG[:-1], f"--batch={batch}")
                batch.write_text(text) if text else batch.unlink()
                self.assertEqual(self.ended(process)[0], 0)
                self.assertEqual(len(self.rows()), 240)
                batch.write_text(f"{PROBLEM}\nmb1ic3ih5oc4kh3\n")

    def test_a_batch_from_a_pipe(self):
        result = subprocess.run([TRIPASS_BAD, "check", *self.LONG[:-1], "--batch=/dev/stdin", "-o", self.out],
                                input=PROBLEM, text=True, capture_output=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(self.rows()), 120)

    def test_a_table_that_is_removed(self):
        process = self.start(*self.LONG)
        (self.out / "points.csv").unlink()
        status, said = self.ended(process)
        self.assertEqual(status, 2)
        self.assertRegex(said, "points.csv: removed or replaced")
        self.assertFalse(json.loads((self.out / "machine.json").read_text())["completed"])

    def test_signals_end_it_whatever_runs(self):
        for kind in ["children", "close_hang", "atexit_hang"]:
            with self.subTest(kind):
                process = self.start("--impl=direct,im2col,onednn,bad-" + kind, "--threads=1", "--reps=50", "--pass=fwd", PROBLEM)
                process.send_signal(signal.SIGINT)
                self.assertEqual(self.ended(process)[0], 128 + signal.SIGINT)

    def test_stopped_time_is_no_delay(self):
        process = self.start("--timeout=2", *self.LONG)
        worker = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        for pid in [process.pid, worker]:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in [process.pid, worker]:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.ended(process)[0], 0)
        self.assertEqual(len(self.rows()), 120)

    def test_two_in_the_same_second(self):
        with tempfile.TemporaryDirectory() as folder:
            study = ["run", "--impl=direct", "--threads=1", "--pass=fwd", "--reps=1", "--samples=1", PROBLEM]
            both = [subprocess.Popen([Path(TRIPASS_BAD).resolve(), *study], cwd=folder, stderr=subprocess.DEVNULL) for _ in range(3)]
            self.assertEqual([process.wait() for process in both], [0, 0, 0])
            self.assertEqual(len(os.listdir(Path(folder) / "tripass-out")), 3)


if __name__ == "__main__":
    unittest.main()
