"""Whatever an implementation does to its process costs its own points and no others.
usage: test_bad_processes.py PATH/TO/tripass_bad. SPDX-License-Identifier: Apache-2.0"""

import unittest

from attack import PROBLEM, Attack


class BadProcesses(Attack):
    def test_a_crash(self):
        result = self.study("check", "--impl=direct,bad-abort", "--threads=1", PROBLEM)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(self.statuses(), {"direct": ["OK"] * 3, "bad-abort": ["CRASH"] * 3})


if __name__ == "__main__":
    unittest.main()
