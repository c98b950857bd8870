"""Wrong results are never OK. usage: test_bad_results.py PATH/TO/tripass_bad. SPDX-License-Identifier: Apache-2.0"""

import unittest

from attack import PROBLEM, Attack


class BadResults(Attack):
    def test_one_wrong_output(self):
        result = self.study("check", "--impl=direct,bad-one_off", "--threads=1", PROBLEM)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(self.statuses(), {"direct": ["OK"] * 3, "bad-one_off": ["FAIL"] * 3})

    def test_one_wrong_output_without_a_witness(self):
        """oneDNN does not take such a padding: 320,000 outputs, too many for the oracle alone."""
        result = self.study("check", "--impl=direct,bad-one_off", "--pass=fwd", "mb2ic16ih56oc64oh50kh3ph1")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(self.statuses(), {"direct": ["OK"], "bad-one_off": ["FAIL"]})
        right = self.rows()[0]
        self.assertLess(int(right["compared"]), 320000)
        self.assertEqual(int(right["summed"]), 2 * 64 * 50 * 50)

    def test_one_wrong_output_in_later_processes(self):
        result = self.study("run", "--impl=direct,bad-one_off_later", "--pass=fwd", "--reps=3", "--samples=1",
                            "mb2ic16ih56oc64kh3ph1")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(self.statuses(), {"direct": ["OK"] * 3, "bad-one_off_later": ["OK", "FAIL", "FAIL"]})
        self.assertEqual({row["summed"] for row in self.rows() if row["rep"] != "0"}, {str(2 * 64 * 56 * 56)})

    def test_bounds_as_good_as_none(self):
        result = self.study("check", "--impl=direct,bad-bound*", "--threads=1", PROBLEM)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(self.statuses(), {"direct": ["OK"] * 3, "bad-bound_infinite": ["FAIL"] * 3,
                                           "bad-bound_nan": ["FAIL"] * 3})
        self.assertEqual({row["reason"].split(" is")[0] for row in self.rows() if row["reason"]}, {"its error_bound"})

    def test_a_tap_off_by_a_little(self):
        result = self.study("check", "--impl=direct,bad-tap", "--threads=1", PROBLEM)
        self.assertEqual(self.statuses(), {"direct": ["OK"] * 3, "bad-tap": ["FAIL"] * 3}, result.stderr)


if __name__ == "__main__":
    unittest.main()
