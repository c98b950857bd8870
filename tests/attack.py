"""Runs tripass_bad (tests/bad: implementations that misbehave) and reads what it wrote. For test_bad_*.py, whose first
argument is the program. SPDX-License-Identifier: Apache-2.0"""

import csv
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TRIPASS_BAD = sys.argv.pop(1)
PROBLEM = "mb1ic4ih6oc4kh3ph1"
PASSES = ["fwd", "bwd", "upd"]


class Attack(unittest.TestCase):
    """Each test has a directory for its study, self.out."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name) / "study"

    def study(self, command, *arguments, timeout=120):
        """tripass_bad COMMAND ARGUMENTS -o self.out, ended: returncode, stdout, stderr."""
        return subprocess.run([TRIPASS_BAD, command, *arguments, "-o", self.out], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout)

    def rows(self, name="points.csv"):
        with open(self.out / name, newline="") as file:
            return list(csv.DictReader(file))

    def statuses(self):
        """{implementation: [status of each of its rows]}"""
        found = {}
        for row in self.rows():
            found.setdefault(row["impl"], []).append(row["status"])
        return found
