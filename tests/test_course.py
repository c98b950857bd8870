"""docs/course.md: its commands run, and print what it says that they print. And gradcheck, as a student reads it.

    test_course.py TRIPASS COURSE.md TRIPASS_BAD

SPDX-License-Identifier: Apache-2.0"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

TRIPASS, COURSE, TRIPASS_BAD = map(os.path.abspath, sys.argv[1:4])


def shell(command, folder=None):
    """With `tripass` as a command."""
    function = f'tripass() {{ "{TRIPASS}" "$@"; }}\n'
    return subprocess.run(["bash", "-ec", function + command], cwd=folder, capture_output=True, text=True)


class Course(unittest.TestCase):
    def blocks(self):
        """(commands, excerpts of their output or "") as they follow each other."""
        with open(COURSE) as file:
            found = re.findall(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", file.read(), re.S | re.M)
        self.assertGreater(len(found), 10)
        return found

    def test_commands_run_and_print_this(self):
        with tempfile.TemporaryDirectory() as folder:
            for commands, excerpt in self.blocks():
                result = shell(commands, folder)
                self.assertEqual((result.returncode, result.stderr), (0, ""), commands)
                self.assertNotIn("NOT EQUAL", result.stdout)
                self.assertIn(excerpt, result.stdout, commands)
            self.assertGreater(os.path.getsize(os.path.join(folder, "lesson.html")), 10000)

    def test_every_part_is_in_the_course(self):
        parts = re.findall("^  ([a-z]+) +[A-Z]", shell("tripass explain mb2ic2ih3oc2kh3ph1").stdout.split("\n\n\n")[0], re.M)
        self.assertEqual(len(parts), 15)
        named = {part for commands, _ in self.blocks() for list_ in re.findall(r"--part=(\S+)", commands)
                 for part in list_.split(",")}
        self.assertEqual(named, set(parts))


class Gradcheck(unittest.TestCase):
    def check(self, *arguments):
        return subprocess.run([TRIPASS, "gradcheck", *arguments], capture_output=True, text=True)

    def test_one_implementation_unless_asked(self):
        text = self.check("mb1ic2ih5oc2kh3ph1").stdout
        self.assertEqual(re.findall("^([a-z0-9-]+) +ok ", text, re.M), ["direct"])
        everyone = self.check("--impl=*", "mb1ic2ih5oc2kh3ph1").stdout
        listed = subprocess.run([TRIPASS, "list"], capture_output=True, text=True).stdout
        known = re.findall("^([a-z0-9-]+) +(?:ok|refuses)", everyone, re.M)
        self.assertGreaterEqual(len(known), 12)
        self.assertTrue(all(name in listed for name in known))
        self.assertEqual(everyone.count("R, logarithmic"), 1)  # one plot

    def test_a_wrong_result_is_a_wrong_gradient(self):
        """bad-one_off (tests/bad) errs in one element of each pass."""
        result = subprocess.run([TRIPASS_BAD, "gradcheck", "--impl=direct,bad-one_off", "mb1ic2ih5oc2kh3ph1"],
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"(?m)^direct +ok .*\nbad-one_off +FAIL ")

    def test_numbers_and_definitions(self):
        result = self.check("mb2ic3ih6oc4kh3ph1")
        self.assertEqual(result.returncode, 0)
        self.assertIn("R(h) = | L(x + h d) - L(x) - h <dL/dx, d> |", result.stdout)
        self.assertIn("h its size", result.stdout)
        pairs = re.findall(r"^     ([xwb]) +(-?\d+) +(-?\d+)   ok$", result.stdout, re.M)
        self.assertEqual([name for name, *_ in pairs], ["x", "w", "b"])
        self.assertTrue(all(change == told for _, change, told in pairs))
        rows = [list(map(float, row.split())) for row in re.findall(r"^     1/\d+ (.*)$", result.stdout, re.M)]
        self.assertEqual([len(row) for row in rows], [3] * 6)
        for larger, smaller in zip(rows, rows[1:]):  # h halves, R quarters
            for ratio in (a / b for a, b in zip(larger, smaller)):
                self.assertTrue(3 < ratio < 5.5, ratio)
        self.assertEqual([sum(line.count(name) for line in result.stdout.split("R, logarithmic")[1].split("h: ")[0]
                                                      .splitlines()[1:]) for name in "xwb"], [6, 6, 6])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
