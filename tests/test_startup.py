"""How the scripts begin: under a Python without their modules, in a tree that cannot be written, and with the commands
that the README shows. cmake is a stub here, which notes how it was called; nothing is built or measured.
SPDX-License-Identifier: Apache-2.0"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEEDING = ["compare.py", "curve.py", "digits.py", "merge.py", "plot.py", "report.py", "verdict.py", "versus.py"]
# --build --preset NAME wants --preset NAME before it, as cmake does in a fresh clone. A program that is built notes too.
CMAKE = """#!/bin/sh
echo "cmake $*" >>"$LOG"
case "$1" in
--preset)
  mkdir -p "${4:-build/$2}" ;;
--build)
  dir=$2; [ "$2" = --preset ] && dir=build/$3
  [ -d "$dir" ] || { echo "Error: $dir is not a directory" >&2; exit 1; }
  printf '#!/bin/sh\\necho "tripass $*" >>"$LOG"\\n' >"$dir/tripass"; chmod +x "$dir/tripass" ;;
esac
"""


class Startup(unittest.TestCase):
    """Each test has a tree of its own with the scripts in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name) / "tree"
        shutil.copytree(ROOT / "scripts", self.tree / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        self.log, tools = Path(folder.name) / "log", Path(folder.name) / "tools"
        tools.mkdir()
        (tools / "cmake").write_text(CMAKE)
        (tools / "cmake").chmod(0o755)
        (self.tree / "scripts/plot.py").write_text("#!/bin/sh\nexit 2\n")  # there is nothing to draw
        self.environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "LOG": str(self.log), "TRIPASS_INSTALL": "no"}

    def run_study(self, *arguments):
        return subprocess.run([self.tree / "scripts" / "run.sh", *arguments], env=self.environment, cwd=self.tree,
                              capture_output=True, text=True)

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def assert_one_line(self, result, pattern):
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertRegex(result.stderr, rf"^[a-z_]+\.(py|sh): {pattern}.*\n$")
        self.assertIn("; try ", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)

    def test_a_python_without_the_modules_is_one_line(self):
        for script in NEEDING:  # -S: without the directory of Debian's packages
            with self.subTest(script):
                result = subprocess.run([sys.executable, "-S", "-B", ROOT / "scripts" / script, self.tree],
                                        capture_output=True, text=True)
                self.assert_one_line(result, r"no module \w+ in /")
                self.assertIn(f"/usr/bin/python3 {ROOT / 'scripts' / script}", result.stderr)

    def test_other_errors_keep_their_traceback(self):
        code = "import startup; startup.explain_missing_modules(); 1 / 0"
        result = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("ZeroDivisionError", result.stderr)

    def test_run_builds_the_program_alone_and_divides_the_budget(self):
        for budget, seconds in (("10m", 600), ("600", 600), ("600s", 600), ("1.5h", 5400)):
            with self.subTest(budget):
                self.log.unlink(missing_ok=True)
                self.run_study(f"--budget={budget}", "--build=elsewhere", "-o", "out")
                self.assertIn(f"cmake --build {self.tree}/elsewhere --target tripass", self.calls())
                self.assertFalse((self.tree / "build").exists())
                found = [int(n) for n in re.findall(r"--budget=(\d+)", "\n".join(self.calls()))]
                self.assertEqual(found, [seconds * share // 100 for share in (30, 20, 50)])

    def test_run_refuses_a_budget_that_is_none(self):
        for budget in ("10", "59s", "soon", "10 m", "-5m", "1d", "", "0x10m"):
            with self.subTest(budget):
                self.assert_one_line(self.run_study(f"--budget={budget}"), f"--budget={budget}: ")
        self.assertEqual(self.calls(), [])

    def test_run_says_what_cannot_be_written(self):
        (self.tree / "build").write_text("")  # a file: for root, too, no directory can be made there
        self.assert_one_line(self.run_study(), ".*/build/release: cannot be written; try --build=DIR")
        (self.tree / "results").write_text("")
        self.assert_one_line(self.run_study("--build=elsewhere"), r".*/results/.*: cannot be written; try -o DIR")
        self.assertEqual(self.calls(), [])

    def test_the_commands_of_the_readme_build_in_a_fresh_clone(self):
        shutil.copy(ROOT / "README.md", self.tree)
        blocks = re.findall(r"^```sh\n(.*?)^```$", (self.tree / "README.md").read_text(), re.MULTILINE | re.DOTALL)
        building = [block for block in blocks if "cmake" in block]
        self.assertGreaterEqual(len(building), 2)
        for block in building:
            commands = "".join(line + "\n" for line in block.splitlines() if line.startswith("cmake"))
            with self.subTest(commands):
                shutil.rmtree(self.tree / "build", ignore_errors=True)
                result = subprocess.run(["sh", "-ec", commands], env=self.environment, cwd=self.tree, capture_output=True, text=True)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertTrue((self.tree / "build/release/tripass").exists())


if __name__ == "__main__":
    unittest.main()
