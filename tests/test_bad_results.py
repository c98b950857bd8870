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

    def rows_of(self, command, bad, *arguments):
        """A study of `bad` among good ones, of which nothing may show: bad's rows."""
        result = self.study(command, f"--impl=reference,direct,winograd-f2,{bad}", "--threads=2", *arguments, PROBLEM)
        rows = [row for row in self.rows() if row["impl"] == bad]
        self.assertEqual([row["status"] for row in self.rows() if row["impl"] != bad], ["OK"] * 9, result.stderr)
        self.assertEqual(len(rows), 3)
        return rows

    def test_each_fails_when_it_is_checked(self):
        for bad, reason in {
                "bad-half": "export left 36 of", "bad-first_half": "export left", "bad-nothing_out": "export left",
                "bad-lazy": "differ", "bad-behind_plain": "wrote outside", "bad-first_behind": "wrote outside",
                "bad-export_behind": "wrote outside", "bad-behind_far": "wrote outside", "bad-before_far": "wrote outside",
                "bad-plan_rounds": "rounding mode", "bad-wrong_and_rounds": "rounding mode",
                "bad-alarms": "interval timers", "bad-fewer_threads": "OpenMP's settings", "bad-changes_plain": "import changed", "bad-first_import": "import changed",
                "bad-flushes": "denormal", "bad-rounds": "rounding mode", "bad-rounds_all": "rounding mode",
                "bad-nices": "niceness", "bad-unpins": "CPU affinity", "bad-limits": "resource limits",
                "bad-plan_output": "plan changed", "bad-plan_threads": "plan changed"}.items():
            with self.subTest(bad):
                self.setUp()
                for row in self.rows_of("check", bad):
                    self.assertEqual(row["status"], "FAIL")
                    self.assertIn(reason.split(" of")[0].rstrip("0123456789 "), row["reason"])

    def test_what_goes_wrong_after_the_check_is_not_published(self):
        for bad, reason in {"bad-later": "other bits", "bad-later_behind": "wrote outside", "bad-later_input": "",
                            "bad-keeps": "unwritten", "bad-skips_equal": "depends on",
                            "bad-keeps_weights": "other bits"}.items():
            for cache in "warm", "cold":
                with self.subTest(bad, cache=cache):
                    self.setUp()
                    for row in self.rows_of("run", bad, "--reps=1", "--samples=9", f"--cache={cache}"):
                        self.assertEqual((row["status"], row["t_median_s"], row["n"]), ("FAIL", "", "0"))
                        self.assertIn("after the samples", row["reason"])
                        self.assertIn(reason, row["reason"])

    def test_what_is_left_behind_later(self):
        for bad in "bad-later_rounds", "bad-first_later_rounds":
            with self.subTest(bad):
                self.setUp()
                for row in self.rows_of("run", bad, "--reps=1", "--samples=9"):
                    self.assertEqual((row["status"], row["n"]), ("FAIL", "0"))
                    self.assertIn("left its process changed: rounding mode", row["reason"])

    def test_what_cannot_be_put_back_ends_the_process(self):
        for bad in "bad-spins", "bad-first_spins", "bad-far_off":
            with self.subTest(bad):
                self.setUp()
                self.assertEqual({row["status"] for row in self.rows_of("check", bad)}, {"CRASH"})

    def test_texts_of_plans(self):
        self.assertEqual({row["detail"] for row in self.rows_of("check", "bad-unterminated")}, {"x" * 63})
        self.setUp()
        self.assertEqual({row["reason"] for row in self.rows_of("check", "bad-no_reason")}, {"(no reason given)"})


if __name__ == "__main__":
    unittest.main()
