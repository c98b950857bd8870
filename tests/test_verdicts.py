"""What a verdict may say: what a study is worth, who is called the fastest, against which ceiling, in which state of the
cores, and how wide an honest interval is. On small studies made here.
SPDX-License-Identifier: Apache-2.0"""

import contextlib
import io
import json
import sys
import unittest

import test_scripts  # ends with 77 where the packages are missing
from test_scripts import failed, point, processes, write_csv

import numpy as np

import compare
import plot
import report_tables
import tripass_data as data
import verdict
import versus
import worth

UNPAID = dict(reason="would take 3 s, the budget pays up to 2 s a point")


class Case(test_scripts.Case):
    def told(self, script, *arguments):
        """What a script prints of the study, as lines."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
            sys.argv = ["script", *map(str, arguments or [self.study])]
            script.main()
        return out.getvalue().splitlines()

    def pairs(self, ratio, flags="", **changes):
        """Twenty A/A pairs that are so far apart, and oneDNN, which takes twice as long; each point in three processes."""
        self.write(processes(*(row | {"flags": flags} for ic in range(1, 21) for row in (
            point("direct", 1, ic=ic, **changes), point("direct:aa", ratio, ic=ic, **changes),
            point("onednn", 2, ic=ic, **changes)))), noise=lambda index: 1)


class Worth(Case):
    def test_the_first_line_says_it(self):
        self.pairs(1.02, flags="steal preempted")
        for script, lead in ((verdict, ""), (versus, ""), (compare, "old: ")):
            lines = self.told(script, *[self.study] * (2 if script is compare else 1))
            self.assertIn("120 of 120 points disturbed (steal 120, preempted 120)", lines[0])
            self.assertTrue(lines[0].startswith(f"{lead}unusable: "), lines[0])
            self.assertIn("noise floor 2.0 % (2 threads)", lines[0])

    def test_grades(self):
        for expected, ratio, flags in (("quiet", 1.04, ""), ("usable", 1.2, ""), ("unusable", 1.31, "")):
            self.pairs(ratio, flags)
            line = self.told(verdict)[0]
            self.assertTrue(line.startswith(f"{expected}: 0 of 120 points disturbed; noise floor"), line)
        self.assertEqual([worth.grade(share, None) for share in (0, 0.05, 0.06, 0.95, 0.96, np.nan)],
                         ["quiet", "quiet", "usable", "usable", "unusable", "usable"])
        self.assertEqual(worth.grade(0, np.nan), "unusable")

    def test_a_study_without_pairs_says_that_nobody_knows(self):
        self.write(processes(point("direct", 1), point("onednn", 2)))
        self.assertRegex(self.told(verdict)[0], "^usable: 6 points, noise was not recorded; noise floor unknown.*nobody can say$")

    def test_an_unusable_study_has_no_winner(self):
        self.pairs(1.31)
        self.assertIn("nothing can be concluded, no winner is declared", self.told(verdict)[0])
        for script in (verdict, versus):
            self.assertNotRegex("\n".join(self.told(script)[1:]), r"2\.00|: fastest| [0-9.]+x")
        self.assertEqual({line.split(",")[-3:][0] for line in self.told(versus, "--format=csv", self.study)[1:]}, {""})
        rows = self.told(verdict, "--all", self.study)
        self.assertRegex("\n".join(rows), r"\n  direct +1000 +\[900 1100\] +1 +1 % +-\n  onednn +2000")
        lines = self.told(compare, self.study, self.study)
        self.assertIn("single process or is unusable: 40", "\n".join(lines))

    def test_each_setting_has_its_floor(self):
        rows = [row for threads, aa in ((1, 1.02), (2, 1.5)) for row in processes(
            point("direct", 1, threads=threads), point("direct:aa", aa, threads=threads), point("onednn", 1.1, threads=threads))]
        self.write(rows, noise=lambda index: 1)
        lines = self.told(verdict)
        self.assertIn("noise floor 2.0 % (1 thread), 50.0 % (2 threads): in 1 of 2 settings no winner", lines[0])
        self.assertEqual(sum("1.10x" in line for line in lines), 1)
        self.assertEqual(sum("unusable: no winner" in line for line in lines), 1)

    def test_the_rule_stands_in_help(self):
        for script in (verdict, versus, compare):
            with self.assertRaises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
                sys.argv = ["script", "--help"]
                script.main()
            self.assertIn("unusable, if it is above 25 %", " ".join(out.getvalue().split()))

    def test_failures_are_named(self):
        self.write(processes(point("direct", 1), point("onednn", 2), failed("mine", "FAIL", reason="wrong by 1"),
                             failed("mine", "FAIL", reason="wrong by 1", ic=32), failed("im2col", "CRASH", reason="signal 11"),
                             failed("winograd-f4", "SKIP", reason="3x3 only")), noise=lambda index: 1)
        for script in (verdict, versus):
            lines = self.told(script)
            self.assertEqual(lines[1:3], ["mine FAIL on 2 points: wrong by 1", "im2col CRASH on 1 point: signal 11"])
            self.assertNotIn("winograd-f4", lines[3])


class Fastest(Case):
    def test_among_the_measured_only_if_all_were(self):
        for lost in (failed("im2col", "SKIP", **UNPAID), failed("im2col", "CRASH", reason="signal 11"),
                     failed("im2col", "TIMEOUT", reason="no progress")):
            self.write(processes(point("direct", 1), point("onednn", 2), lost), noise=lambda index: 1)
            self.assertRegex("\n".join(self.told(verdict)), r"direct 2/3 +1  2\.00x\n")
        for lost in (failed("im2col", "SKIP", reason="3x3 kernels only"), failed("im2col", "FAIL", reason="wrong by 1")):
            self.write(processes(point("direct", 1), point("onednn", 2), lost), noise=lambda index: 1)
            self.assertRegex("\n".join(self.told(verdict)), r"direct +1  2\.00x\n")

    def test_never_nan_and_no_ratio_without_interval(self):
        self.write([point("direct", 1), point("onednn", 540.89), point("direct", 1, ic=32), point("im2col", 2, rep=1, ic=32),
                    point("onednn", 3, rep=1, ic=32), failed("onednn", "SKIP", ic=64, **UNPAID), point("direct", 1, ic=64)],
                   noise=lambda index: 1)
        for arguments in ((), ("--all",)):
            told = "\n".join(self.told(verdict, *arguments, self.study))
            self.assertNotRegex(told, r"nan|inf\b|540\.")
        self.assertNotIn("nan", "\n".join(self.told(versus)))

    def test_layers_stand_in_the_order_of_the_network(self):
        names = ["conv1", "conv2", "conv3", "conv4"]
        rows = [failed(impl, "SKIP", name=name, ic=ic, rep=rep, **UNPAID) if (name, rep) in (("conv1", 0), ("conv2", 0))
                else point(impl, 1, name=name, ic=ic, rep=rep)
                for rep in range(3) for ic, name in enumerate(names, 1) for impl in ("direct", "onednn")]
        self.write(rows, noise=lambda index: 1)
        for script in (verdict, versus):
            shown = [line.split()[0] for line in self.told(script) if line.startswith("conv")]
            self.assertEqual(shown, names)

    def test_no_mean_over_fewer_than_half(self):
        def study(*known):
            self.write(processes(*(row for ic in range(1, 6) for row in [point("direct", 1, ic=ic)]
                                   + [point("onednn", 2, ic=ic)] * (ic in known))), noise=lambda index: 1)
            return "\n".join(self.told(versus))
        self.assertRegex(study(1, 2, 3), r"geometric mean, 3 of 5 layers +2\.00")
        self.assertNotIn("geometric mean", study(1, 2))

    def test_a_mean_is_one_line_for_all_passes(self):
        self.write(processes(*(point(impl, 1, ic=ic, output=output) for impl in ("direct", "onednn") for ic in (1, 2, 3)
                               for output in ("fwd", "upd") if (impl, ic, output) != ("onednn", 3, "upd"))), noise=lambda i: 1)
        means = [line for line in self.told(versus) if line.startswith("geometric")]
        self.assertEqual([" ".join(line.split()) for line in means],
                         ["geometric mean, of 3 layers 1.00 [1.00 1.00] of 3 1.00 [1.00 1.00] of 2"])

    def test_all_lists_everyone(self):
        self.write(processes(point("direct", 1) | {"flags": "drift"}, point("onednn", 2) | {"flags": ""},
                             failed("im2col", "SKIP", **UNPAID) | {"flags": ""}), noise=lambda index: 1)
        lines = self.told(verdict, "--all", self.study)
        start = lines.index("16 @28 k3 mb8 fwd")
        self.assertRegex(lines[start + 1], r"^  direct +1000 +\[900 1100\] +1 +1 % +2\.00 \[2\.00 2\.00\]  drift$")
        self.assertRegex(lines[start + 2], r"^  onednn +2000 +\[1800 2200\] +0\.5 +0 % +1\.00 \[1\.00 1\.00\]$")
        self.assertEqual(lines[start + 3], "  im2col           SKIP: " + UNPAID["reason"])


class Ceiling(Case):
    def test_it_is_the_best_probe_of_the_study(self):
        """One probe of three was disturbed, and one in machine.json is better than those of the rounds."""
        self.write([point("direct", 1, rep=0, pct_peak=200), point("direct", 1, rep=1, pct_peak=50),
                    point("direct", 1, rep=2, pct_peak=200)])
        row = self.summary().iloc[0]
        self.assertEqual((row["ceiling"], row["pct_ceiling"]), (2, 50))
        (self.study / "machine.json").write_text(json.dumps({"ceilings": [
            {"threads": 2, "fma_gflops": {"avx2": 4, "avx512": 9}}, {"threads": 1, "fma_gflops": {"avx2": 9}}]}))
        self.assertEqual(data.ceiling(self.summary()), 4)

    def test_who_is_above_it_is_marked_unless_he_saves_multiplications(self):
        self.write([point("direct", 1, pct_peak=200), point("winograd-f4", 1, pct_peak=200)])
        summary = self.summary()
        self.assertEqual(dict(zip(summary["impl"], data.above_ceiling(summary))), {"direct": True, "winograd-f4": False})
        self.assertRegex("\n".join(self.told(verdict, "--all", self.study)), r"direct .* 200 %!")

    def test_operations_with_the_padding_may_be_saved(self):
        """Half of this layer's are: 150 % of the ceiling is 75 % of it in truth."""
        self.write([point("direct", 1, pct_peak=150) | {"flop": 2, "flop_valid": 1}])
        self.assertFalse(data.above_ceiling(self.summary().assign(ceiling=1 / 1.5, pct_ceiling=150)).any())

    def test_no_figure_has_data_above_the_line_for_a_disturbed_probe(self):
        self.write([point("direct", 1, ic=c, oc=c, output=output, pct_peak=200 if output == "fwd" else 50)
                    for c in (16, 32, 64) for output in ("fwd", "upd")])
        points = data.read_points([self.study])
        ((_, draw, _),) = plot.figures(points, data.summarize(points))
        figure = draw(plot.WIDTH)
        lines = [line.get_ydata()[0] for ax in figure.axes for line in ax.lines if line.get_label() == "measured FMA ceiling"]
        plot.plt.close("all")
        self.assertEqual(lines, [2, 2])


class States(Case):
    """Winograd takes 1 s with the cores near each other and 2 s with them apart; direct 1.5 s in both."""

    def write_states(self, *states, far=400):
        """One process for each string, a letter a round: n(ear), f(ar) or ?, where the probe failed."""
        times = {"winograd-f4": {"n": 1, "f": 2, "?": 2}, "direct": dict.fromkeys("nf?", 1.5), "onednn": dict.fromkeys("nf?", 3)}
        points, samples = [], []
        for rep, rounds in enumerate(states):
            for impl, seconds in times.items():
                row = point(impl, np.median([seconds[state] for state in rounds]), rep=rep, n=len(rounds))
                points.append(row)
                samples += [{key: row[key] for key in ("impl", "pass", "problem", "threads", "rep")} | {
                    "round": index, "order": 0, "t_s": seconds[state], "attempt": 0, "handoff_ns": {"n": 60, "f": far, "?": ""}[state]}
                    for index, state in enumerate(rounds)]
        write_csv(self.study / "points.csv", points)
        write_csv(self.study / "samples.csv", samples)

    def found(self):
        summary = self.summary()
        return {(row["state"], row["impl"]): (row["t_median_s"], row["n"]) for _, row in summary.iterrows()}, summary

    def test_each_state_has_its_own_times(self):
        self.write_states("n" * 8, "f" * 6, "nnnnnfffff")
        found, summary = self.found()
        self.assertEqual((found["near", "winograd-f4"], found["far", "winograd-f4"]), ((1, 13), (2, 11)))
        tables = data.replicates(summary)
        times = {group[data.GROUP.index("state")]: table for group, table in tables.items()}
        self.assertEqual(list(times["near"].index), [0, 2])
        self.assertEqual(list(times["far"].index), [1, 2])
        np.testing.assert_allclose(times["far"]["direct"] / times["far"]["winograd-f4"], 0.75)

    def test_both_are_shown_the_main_one_first(self):
        self.write_states("n" * 8, "n" * 8, "f" * 8, "f" * 8, "f" * 8)
        lines = [line for line in self.told(verdict) if ": 2 threads" in line or line.startswith("16 @28")]
        self.assertIn("cores far apart", lines[0])
        self.assertRegex(lines[1], r"direct +0\.667  2\.00x")
        self.assertIn("cores near each other", lines[2])
        self.assertRegex(lines[3], r"winograd-f4 +1  3\.00x")
        main = data.main_states(self.summary())
        self.assertEqual(set(main["state"]), {"far"})

    def test_ties_are_near(self):
        self.write_states("f" * 8, "n" * 8)
        self.assertEqual(self.summary().iloc[0]["state"], "near")

    def test_the_limit(self):
        for ns, expected in ((149, {"near"}), (151, {"near", "far"})):
            self.write_states("n" * 8, "f" * 8, far=ns)
            self.assertEqual(set(self.summary()["state"]), expected)

    def test_a_round_or_two_of_many_make_no_row(self):
        self.write_states("n" * 20, "n" * 18 + "ff")
        self.assertEqual(self.found()[0]["near", "winograd-f4"], (1, 40))

    def test_a_round_without_a_reading_has_the_state_of_the_one_before(self):
        self.write_states("n" * 8, "?fff??ff")
        self.assertEqual(self.found()[0]["far", "winograd-f4"], (2, 8))
        self.assertEqual(set(self.summary()["state"]), {"near", "far"})

    def test_a_study_without_the_column_has_no_states(self):
        self.write(processes(point("direct", 1)), noise=lambda index: 1)
        self.assertEqual(set(self.summary()["state"]), {""})
        self.assertNotIn("cores", "\n".join(self.told(verdict)))

    def test_lost_points_are_counted_once(self):
        self.write_states("n" * 8, "f" * 8)
        rows = [point("mine", 1, rep=0) | {"status": "FAIL", "reason": "wrong"}]
        with open(self.study / "points.csv", "a", newline="") as file:
            test_scripts.csv.DictWriter(file, rows[0]).writerows(rows)
        points = data.read_points([self.study])
        self.assertEqual(list(worth.failures(points)), ["mine FAIL on 1 point: wrong"])
        self.write_states("nnnnffff")
        self.assertTrue(self.told(verdict)[0].startswith("usable: 3 points, "))
        self.assertEqual(report_tables.lost(points.drop_duplicates("row"))["rows"][0][-1]["text"], "1")

    def test_runs_are_compared_within_a_state(self):
        """The old run met only cores far apart, which its own numbers cannot tell."""
        parent = self.study.parent
        for name, states in (("old", ["f" * 8] * 3), ("new", ["n" * 8, "n" * 8, "f" * 8, "f" * 8])):
            self.study = parent / name
            self.study.mkdir()
            self.write_states(*states)
        told = "\n".join(self.told(compare, parent / "old", parent / "new"))
        self.assertIn("3 points are in both runs, 0 only in the old, 3 only in the new", told)
        self.assertIn("Changed: 0 of 3", told)


class Intervals(unittest.TestCase):
    """The defaults of tripass run: 8 processes of 10 samples give narrower intervals than 3 of 30, and as honest ones."""

    BETWEEN, WITHIN = 0.05, 0.06  # standard deviations of logarithms, medians of the studies under results/

    def simulate(self, processes, samples, tails):
        """(share of intervals that hold the truth, their median half width) of equal pairs."""
        random = np.random.default_rng(1)

        def draw(*shape):
            return random.standard_t(3, shape) / 3**0.5 if tails else random.standard_normal(shape)
        pairs = 1000
        medians = [np.median(self.WITHIN * draw(pairs, processes, samples), axis=2) for _ in range(2)]
        logs = self.BETWEEN * draw(pairs, processes) + medians[0] - medians[1]
        found = np.log([data.estimate(np.exp(row)) for row in logs])
        return np.mean((found[:, 1] <= 0) & (0 <= found[:, 2])), np.median(found[:, 2] - found[:, 0])

    def test_more_processes_are_narrower_and_as_honest(self):
        for tails in (False, True):
            (few, wide), (many, narrow) = self.simulate(3, 30, tails), self.simulate(8, 10, tails)
            self.assertTrue(0.93 <= few <= 0.97 and 0.93 <= many <= 0.97, (few, many))
            self.assertLess(narrow, wide / 2)

    def test_more_samples_do_not_help(self):
        self.assertGreater(self.simulate(3, 100, False)[1], 0.9 * self.simulate(3, 30, False)[1])


if __name__ == "__main__":
    unittest.main()
