"""Wrong results are never OK. usage: test_bad_results.py PATH/TO/tripass_bad. SPDX-License-Identifier: Apache-2.0"""

import unittest

from attack import PROBLEM, Attack


class BadResults(Attack):
    def test_one_wrong_output(self):
        result = self.study("check", "--impl=direct,bad-one_off", "--threads=1", PROBLEM)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(self.statuses(), {"direct": ["OK"] * 3, "bad-one_off": ["FAIL"] * 3})


if __name__ == "__main__":
    unittest.main()
