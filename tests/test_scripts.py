"""The scripts on small studies made here, with answers that can be worked out by hand.
SPDX-License-Identifier: Apache-2.0"""

import csv
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

SCRIPTS = Path(__file__).parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))
try:
    import numpy as np

    from scipy import stats

    import compare
    import drawing
    import plot
    import report_tables
    import tripass_data as data
    import versus
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

COLUMNS = data.TEXTS + data.NUMBERS
ROUNDS = 11


def point(impl, seconds, **changes):
    """An OK row of a 3x3 layer with 1 GFLOP that took `seconds` (10 % more and less at the ends)."""
    row = dict.fromkeys(data.SIZES, 1) | dict(
        impl=impl, family=impl.split("-")[0], name="", isa="avx2", cache="warm", status="OK", mult=1, threads=2, rep=0,
        n=ROUNDS, t_min_s=0.9 * seconds, t_median_s=seconds, t_lo_s=0.9 * seconds, t_hi_s=1.1 * seconds, t_sgd_s="",
        gflops=1 / seconds, pct_peak=1 / seconds, err_reference=1e-7, reason="", mb=8, ic=16, oc=16, ih=28, iw=28, oh=28,
        ow=28, kh=3, kw=3, dh=0, dw=0) | changes
    row["pass"] = changes.get("output", "fwd")
    row.setdefault("problem", "mb{mb}ic{ic}ih{ih}oc{oc}".format(**row))
    return {column: row[column] for column in COLUMNS + [column for column in data.PLAIN_LAYER if column in row]}


def failed(impl, status, **changes):
    empty = dict.fromkeys(["n", "t_min_s", "t_median_s", "t_lo_s", "t_hi_s", "gflops", "pct_peak"], "")
    return point(impl, 1, **changes) | {"status": status} | empty


def processes(*rows):
    """The same from three worker processes."""
    return [row | {"rep": rep} for rep in range(3) for row in rows]


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.study = Path(folder.name) / "study"
        self.study.mkdir()

    def write(self, points, noise=None):
        """A study. noise: a function of the round that multiplies the times of all implementations in it."""
        write_csv(self.study / "points.csv", points)
        if noise:
            write_csv(self.study / "samples.csv", [
                {key: row[key] for key in ["impl", "pass", "problem", "threads", "rep"]}
                | {"round": index, "order": 0, "t_s": row["t_median_s"] * noise(index)}
                for row in points if row["status"] == "OK" for index in range(ROUNDS)])

    def summary(self):
        return data.summarize(data.read_points([self.study]))

    def command(self, script, *arguments):
        return subprocess.run([sys.executable, "-B", SCRIPTS / script, *arguments], capture_output=True, text=True)


class Reading(Case):
    def test_studies_below_a_directory_are_found(self):
        self.write([point("direct", 1)])
        self.assertEqual(len(data.read_points([self.study.parent])), 1)

    def test_repetitions_become_one_row(self):
        self.write([point("direct", 1), point("direct", 2, rep=1), point("direct", 4, rep=2)])
        row = self.summary().iloc[0]
        self.assertEqual((row["t_median_s"], row["t_lo_s"], row["t_hi_s"], row["n"]), (2, 0.9, 4.4, 3 * ROUNDS))

    def test_a_repetition_too_short_for_an_interval_counts_with_its_median(self):
        short = dict(t_lo_s="", t_hi_s="", n=1)
        self.write([point("direct", 1), point("direct", 2, rep=1, **short), point("direct", 4, rep=2, **short)])
        row = self.summary().iloc[0]
        self.assertEqual((row["t_median_s"], row["t_lo_s"], row["t_hi_s"]), (2, 0.9, 4))
        self.write([point("direct", 1, **short)])
        self.assertTrue(np.isnan(self.summary().iloc[0]["t_lo_s"]))

    def test_of_a_point_measured_again_the_last_attempt_counts(self):
        self.write([point("direct", 2), point("direct", 1), point("direct", 1, rep=1)])
        row = self.summary().iloc[0]
        self.assertEqual((row["t_median_s"], row["n"]), (1, 2 * ROUNDS))

    def test_failed_rows_have_no_part(self):
        self.write([point("direct", 1), failed("im2col", "FAIL"), failed("onednn", "SKIP")])
        self.assertEqual(list(self.summary()["impl"]), ["direct"])

    def test_multiplicities_of_one_problem_under_two_names_add_up(self):
        self.write([point("direct", 1, name="a", mult=2), point("direct", 1, name="b", mult=3)])
        self.assertEqual(list(self.summary()["mult"]), [5])

    def test_bad_input_is_named(self):
        cases = {
            "no points.csv": lambda file: file.unlink(),
            "no column t_median_s": lambda file: file.write_text(file.read_text().replace("t_median_s", "t")),
            "column ic": lambda file: file.write_text(file.read_text().replace(",16,", ",x,")),
            "No columns": lambda file: file.write_text(""),
            "holds no points": lambda file: file.write_text(file.read_text().splitlines()[0] + "\n"),
            "no point has status OK": lambda file: file.write_text(file.read_text().replace("OK", "FAIL")),
        }
        for expected, spoil in cases.items():
            self.write([point("direct", 1)])
            spoil(self.study / "points.csv")
            with self.subTest(expected), self.assertRaisesRegex(data.DataError, expected):
                self.summary()

    def test_bad_input_is_one_line_and_status_2(self):
        for script in ("plot.py", "verdict.py", "versus.py", "report.py"):
            result = self.command(script, self.study)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertRegex(result.stderr, f"^{script}: .*no points.csv.*\n$")


class Ratios(Case):
    def compared(self, against="oneDNN"):
        summary = self.summary()
        return versus.compare(summary, data.replicates(summary), against)

    def test_noise_common_to_a_round_cancels(self):
        self.write(processes(point("direct", 1), point("onednn", 2)), noise=lambda index: 1 + index)
        row = self.compared().iloc[0]
        np.testing.assert_allclose((row["ratio"], row["lo"], row["hi"]), 2)

    def test_a_process_gives_one_ratio_however_many_samples_it_has(self):
        seconds = (1, 1.1, 1.2)
        self.write([point("direct", s, rep=rep) for rep, s in enumerate(seconds)] + processes(point("onednn", 2)),
                   noise=lambda index: 1 + index % 2)
        row = self.compared().iloc[0]
        logs = np.log(2 / np.array(seconds))
        half = 4.302653 * logs.std(ddof=1) / 3**0.5  # Student's t, 2 degrees of freedom
        np.testing.assert_allclose(np.log([row["ratio"], row["lo"], row["hi"]]), logs.mean() + np.array([0, -half, half]))

    def test_rounds_of_different_attempts_are_not_paired(self):
        self.write([point("direct", 1), point("onednn", 2)], noise=lambda index: 1 + index)
        file = self.study / "samples.csv"
        with open(file) as text:
            rows = [row | {"attempt": 0} for row in csv.DictReader(text)]
        again = [row | {"attempt": 1, "t_s": 4} for row in rows[:3] if row["impl"] == "direct"]
        write_csv(file, rows + again)
        (times,) = data.replicates(self.summary()).values()
        self.assertEqual(list(times["direct"].round(9)), [4])
        self.assertAlmostEqual(times["onednn"].iloc[0], 2 * (1 + ROUNDS // 2))

    def test_without_samples_or_a_second_process_there_is_no_interval(self):
        for noise in (None, lambda index: 1):
            self.write([point("direct", 1), point("onednn", 2)], noise)
            row = self.compared().iloc[0]
            self.assertAlmostEqual(row["ratio"], 2)
            self.assertTrue(np.isnan(row["lo"]) and np.isnan(row["hi"]))

    def test_intervals_call_a_difference_in_5_percent_of_equal_pairs(self):
        random = np.random.default_rng(1)
        for draw in (random.standard_normal, lambda size: random.standard_t(3, size)):  # well-behaved and heavy tails
            called = [not low <= 1 <= high for _, low, high in
                      (data.estimate(np.exp(0.01 * draw(3))) for _ in range(4000))]
            self.assertLess(np.mean(called), 0.06)

    def test_an_implementation_with_fewer_rounds_still_counts(self):
        self.write(processes(point("direct", 1), point("onednn", 2)), noise=lambda index: 1 + index)
        file = self.study / "samples.csv"
        lines = file.read_text().splitlines()
        file.write_text("\n".join(line for line in lines if not (line.startswith("onednn") and "10,0" in line)) + "\n")
        self.assertAlmostEqual(self.compared().iloc[0]["lo"], 2)

    def test_the_best_of_each_side_is_compared(self):
        self.write([point("direct", 4), point("winograd-f4", 1), point("reference", 0.1), point("onednn", 3),
                    point("onednn-plain", 2), point("onednn-winograd", 0.5)], noise=lambda index: 1)
        row = self.compared().iloc[0]
        self.assertEqual((row["ours"], row["theirs"], round(row["ratio"], 9)), ("winograd-f4", "onednn-plain", 2))
        row = self.compared("oneDNN with Winograd").iloc[0]
        self.assertEqual((row["theirs"], round(row["ratio"], 9)), ("onednn-winograd", 0.5))

    def test_means_leave_out_what_has_no_rival(self):
        self.write(processes(point("direct", 1), point("onednn", 2), point("direct", 1, ic=32, mult=3),
                             point("onednn", 8, ic=32, mult=3), point("direct", 1, ic=64),
                             failed("onednn", "FAIL", ic=64)), noise=lambda index: 1)
        mean, total = versus.summaries(self.compared())
        self.assertAlmostEqual(mean["ratio"], 4)  # sqrt(2 * 8)
        self.assertAlmostEqual(total["ratio"], 26 / 4)  # (2 + 3*8) / (1 + 3*1)
        self.assertAlmostEqual(total["lo"], 26 / 4)
        self.assertEqual(mean["count"], "2 of 3 layers")

    def test_a_process_without_all_of_onednn_has_no_ratio(self):
        unpaid = dict(reason="would take 3 s, the budget pays up to 2 s a point")
        plain = processes(point("direct", 1), point("onednn-plain", 8))
        for rows, expected in (
                ([point("onednn", s, rep=rep) for rep, s in enumerate((2, 2, 2))], 2),
                ([point("onednn", 2), failed("onednn", "SKIP", rep=1, **unpaid), point("onednn", 2, rep=2)], 2),
                ([failed("onednn", "SKIP", rep=rep, **unpaid) for rep in range(3)], np.nan),
                ([failed("onednn", "SKIP", rep=rep, reason="not on this CPU") for rep in range(3)], 8)):
            self.write(plain + rows, noise=lambda index: 1 + index % 2)
            np.testing.assert_allclose(self.compared().iloc[0]["ratio"], expected)
        self.write(plain + [failed("onednn", "SKIP", rep=rep, **unpaid) for rep in range(3)])
        self.assertRegex(self.command("verdict.py", self.study).stdout, r"direct 2/3 +1 +-\n")

    def test_formats(self):
        self.write([point("direct", 1), point("onednn", 2), point("direct", 1, ic=32), point("onednn", 2, ic=32)])
        self.assertRegex(self.command("versus.py", self.study).stdout, r"\n32-16 @28 k3 +\(2.00\) direct\n")
        self.assertIn("\n| 32-16 @28 k3 | (2.00) direct |\n",
                      self.command("versus.py", "--format", "markdown", self.study).stdout)
        rows = list(csv.DictReader(io.StringIO(self.command("versus.py", "--format", "csv", self.study).stdout)))
        self.assertEqual(len(rows), 4)  # two layers and two summaries
        self.assertEqual({row["ratio"] for row in rows}, {"2"})

    def test_a_second_table_where_onednn_has_winograd(self):
        self.write([point("direct", 1), point("onednn", 4), point("onednn-winograd", 2)])
        out = self.command("versus.py", self.study).stdout
        self.assertRegex(out, r"(?s)times faster than oneDNN\n.*\(4\.00\) direct.*times faster than oneDNN with Winograd\n.*\(2\.00\) direct")
        self.write([point("direct", 1), point("onednn", 4), failed("onednn-winograd", "SKIP")])
        self.assertNotIn("with Winograd", self.command("versus.py", self.study).stdout)

    def test_ours_can_be_chosen(self):
        self.write([point("direct", 2), point("im2col", 3), point("winograd-f4", 1), point("onednn", 6)])
        for globs, expected in (("*", "(6.00) winograd-f4"), ("direct,im2col*", "(3.00) direct"), ("im2col*", "(2.00) im2col")):
            self.assertIn(expected, self.command("versus.py", "--impl", globs, self.study).stdout)
        self.assertIn("nothing to compare", self.command("versus.py", "--impl=explicit*", self.study).stderr)

    def test_verdict(self):
        self.write(processes(point("direct", 1), point("onednn", 2), point("im2col", 1, ic=32), point("onednn", 1, ic=32)),
                   noise=lambda index: 1 + index % 2)
        lines = self.command("verdict.py", self.study).stdout.splitlines()
        self.assertRegex("\n".join(lines), r"16 @28 k3 mb8\s+direct\s+1  2.00x")
        self.assertRegex("\n".join(lines), r"32-16 @28 k3 mb8\s+im2col\s+1  1.00~")


class Controls(Case):
    """oneDNN is 1.05 times slower than direct in each process; direct's second name 1.1 times at one size of two."""

    def setUp(self):
        super().setUp()
        self.write(processes(*(row for ic, aa in ((16, 1), (32, 1.1)) for row in (
            point("direct", 1, ic=ic), point("direct:aa", aa, ic=ic), point("onednn", 1.05, ic=ic)))), noise=lambda i: 1)
        self.controls = data.controls(data.read_points([self.study]))

    def test_each_pair_is_a_row(self):
        np.testing.assert_allclose(sorted(self.controls["ratio"]), [1, 1.1])
        self.assertEqual(list(self.controls.sort_values("ratio")["called"]), [False, True])

    def test_the_floor_is_the_largest_of_few(self):
        (floor,) = data.noise_floor(self.controls).values()
        self.assertAlmostEqual(floor, 1.1)

    def test_no_difference_below_the_floor_is_a_win(self):
        lines = self.command("verdict.py", self.study).stdout
        self.assertEqual(lines.count("1.05~"), 2, lines)
        self.assertIn("2 points measured twice, 1 called different by their interval; noise floor 10.0 %", lines)
        self.assertIn("beyond interval and noise floor: 0; slower: 0", self.command("versus.py", self.study).stdout)

    def test_without_controls_the_interval_decides(self):
        self.write(processes(point("direct", 1), point("onednn", 1.05)), noise=lambda i: 1 + i % 2)
        lines = self.command("verdict.py", self.study).stdout
        self.assertIn("1.05x", lines)
        self.assertIn("noise floor is not known", lines)

    def test_a_control_is_no_implementation_of_its_own(self):
        self.assertEqual(set(self.summary()["impl"]), {"direct", "onednn"})


class Scaling(Case):
    def test_speedup_over_the_fewest_threads(self):
        self.write([point("direct", 8, threads=1), point("im2col", 6, threads=1), point("direct", 4, threads=2),
                    point("im2col", 4.5, threads=2), point("direct", 3, threads=4), point("im2col", 4, threads=4),
                    point("direct", 1, ic=32)])
        found = data.scaling(self.summary())[["threads", "impl", "speedup", "efficiency"]].values.tolist()
        self.assertEqual(found, [[1, "im2col", 1, 1], [2, "direct", 1.5, 0.75], [4, "direct", 2, 0.5]])
        self.assertRegex(self.command("verdict.py", self.study).stdout,
                         r" 1 thread +2 threads +4 threads\n16 @28 k3 mb8 fwd +0.167 +1.00 +100 % +0.25 +1.50 +75 % +0.333 +2.00 +50 %")

    def test_who_was_not_measured_at_all_counts_has_no_part(self):
        self.write([point("direct", 8, threads=1), point("winograd-f4", 1, threads=1), point("direct", 4, threads=2)])
        found = data.scaling(self.summary())[["threads", "impl", "speedup"]].values.tolist()
        self.assertEqual(found, [[1, "direct", 1], [2, "direct", 2]])

    def test_no_speedup_where_a_candidate_is_missing(self):
        for lost in (failed("winograd-f4", "SKIP", reason="would take 3 s, the budget pays up to 2 s a point"),
                     failed("winograd-f4", "CRASH", reason="Segmentation fault")):
            self.write([point("direct", 8, threads=1), point("winograd-f4", 1, threads=1), point("direct", 4), lost])
            self.assertTrue(data.scaling(self.summary()).empty)


class Merging(Case):
    def part(self, shard, machine=(), **changes):
        """A directory as tripass run --shard leaves it."""
        part = self.study / f"part-{shard[0]}"
        part.mkdir()
        write_csv(part / "points.csv", [point("direct", 1, ic=16 * int(shard[0])) | changes])
        write_csv(part / "samples.csv", [dict(impl="direct", t_s=1)])
        machine = {"study": {"command_line": ["tripass", "run", "-o", str(part), "--shard=" + shard, "--mb=8"]},
                   "build": "b", "cpu": "c", "topology": {"cores": 2, "places": [0, 1]}, "libraries": "l",
                   "system": {"host": "node" + shard[0]}, "start": "s", "end": "e", "ceilings": [], "completed": True
                   } | dict(machine)
        (part / "machine.json").write_text(json.dumps(machine))
        return part

    def merge(self, *arguments):
        return self.command("merge.py", self.study / "whole", *arguments)

    def test_parts_become_one_study(self):
        result = self.merge(self.part("1/2"), self.part("2/2"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        whole = self.study / "whole"
        self.assertEqual(list(data.read_points([whole])["ic"]), [16, 32])
        self.assertEqual(len((whole / "samples.csv").read_text().splitlines()), 3)
        machine = json.loads((whole / "machine.json").read_text())
        self.assertEqual([part["host"] for part in machine["parts"]], ["node1", "node2"])

    def test_what_does_not_belong_together_is_refused(self):
        line = ["tripass", "run", "--shard=2/2", "--mb=9"]
        for expected, machine in {"another study": {"study": {"command_line": line}}, "another build": {"build": "d"},
                                  "another kind of machine": {"cpu": "d"}, "not finished": {"completed": False}}.items():
            with self.subTest(expected), tempfile.TemporaryDirectory() as folder:
                self.study = Path(folder)
                parts = self.part("1/2"), self.part("2/2", machine.items())
                result = self.merge(*parts)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertRegex(result.stderr, f"^merge.py: .*{expected}.*; try --anyway.*\n$")
                self.assertFalse((self.study / "whole").exists())
                self.assertIn(expected, self.merge("--anyway", *parts).stdout)

    def test_a_missing_part_is_told(self):
        self.assertIn("the parts are 2/3", self.merge(self.part("2/3")).stderr)

    def test_no_point_twice(self):
        parts = self.part("1/2"), self.part("2/2", ic=16, problem=point("direct", 1, ic=16)["problem"])
        self.assertIn("there twice", self.merge(*parts).stderr)


class Figures(Case):
    def draw(self):
        points = data.read_points([self.study])
        return {name: (draw(plot.WIDTH), caption) for name, draw, caption in plot.figures(points, data.summarize(points))}

    def tearDown(self):
        plot.plt.close("all")

    def test_a_channel_sweep_has_a_line_an_implementation_and_no_failed_point(self):
        self.write([point("direct", 1, ic=c, oc=c) for c in (16, 32, 64)]
                   + [point("im2col", 1, ic=c, oc=c) for c in (16, 64)] + [failed("im2col", "FAIL", ic=32, oc=32)])
        ((figure, caption),) = self.draw().values()
        lines = {box.get_label(): box.lines[0].get_ydata() for box in figure.axes[0].containers}
        self.assertEqual(set(lines), {"direct", "im2col"})
        self.assertTrue(np.isnan(lines["im2col"][1]))
        self.assertIn("n = 11 to 11 calls, bars: 95 % rank intervals", caption)
        self.assertIn("Not plotted: 1 FAIL", caption)

    def test_batch_sweeps_and_channel_sweeps_are_told_apart(self):
        self.write([point("direct", 1, mb=mb) for mb in (1, 2, 4, 8)]
                   + [point("direct", 1, ic=c, oc=2 * c) for c in (16, 32, 64)])
        self.assertEqual(sorted(self.draw()), ["study-t2-avx2-warm-batch", "study-t2-avx2-warm-channels"])

    def test_named_layers_are_drawn_relative_to_onednn(self):
        self.write([point("direct", 1, name="a"), point("onednn", 2, name="a"), point("onednn-plain", 4, name="a"),
                    point("explicit-csr", 1000, name="a")])
        ((figure, caption),) = self.draw().values()
        ratios = {line.get_label(): line.get_xdata() for line in figure.axes[0].lines}
        self.assertEqual((ratios["direct"], ratios["onednn"], ratios["onednn-plain"]), ([2], [1], [0.5]))
        self.assertNotIn("explicit-csr", ratios)
        self.assertIn("not shown: 1", caption)

    def test_unknown_implementations_keep_their_style(self):
        self.assertEqual(plot.style("mine"), plot.style("mine"))
        self.assertEqual(drawing.listing_order(["mine", "direct", "onednn"]), ["onednn", "direct", "mine"])

    def test_files_are_reproducible_and_fit_for_papers(self):
        self.write([point("direct", 1, ic=c, oc=c) for c in (16, 32, 64)])
        def files():
            with contextlib.redirect_stdout(io.StringIO()):
                sys.argv = ["plot.py", str(self.study)]
                plot.main()
            return {file.name: file.read_bytes() for file in (self.study / "figures").iterdir()}
        first = files()
        name = "study-t2-avx2-warm-channels"
        self.assertEqual(set(first), {f"{name}{end}" for end in (".png", ".pdf", "-single.pdf", ".tex")})
        self.assertEqual(first, files())
        for end in (".pdf", "-single.pdf"):
            self.assertNotIn(b"/Type3", first[name + end])
        self.assertRegex(first[name + ".tex"].decode(), r"^\\caption\{.*95 \\% rank.*\}\n$")


class Steps(Case):
    def test_the_first_layer_needs_no_backward(self):
        passes = {"fwd": 1, "bwd": 10, "upd": 100}
        sgd = {"direct": 0.5, "onednn": 1.5}
        self.write([point(impl, seconds * times, output=output, name=name, ic=ic, mult=mult,
                          t_sgd_s=sgd[impl] if output == "upd" else "")
                    for name, ic, mult in (("first", 3, 1), ("second", 8, 2)) for output, seconds in passes.items()
                    for impl, times in (("direct", 1), ("onednn", 3))])
        summary = self.summary()
        tables = data.replicates(summary)
        compared = versus.with_steps(versus.compare(summary, tables, "oneDNN"))
        self.assertEqual(list(compared.loc[compared["pass"] == "upd", "t_ours_s"]), [100, 100])  # without the SGD step
        steps = compared[compared["pass"] == "step"]
        self.assertEqual(list(steps["t_ours_s"]), [101.5, 111.5])
        mean, total = versus.summaries(steps)
        self.assertEqual((total["t_ours_s"], total["t_theirs_s"]), (101.5 + 2 * 111.5, 3 * (101.5 + 2 * 111.5)))
        self.assertAlmostEqual(mean["ratio"], 3)
        times = report_tables.total_times(SimpleNamespace(tables=tables), summary[summary["impl"] == "direct"], summary)
        self.assertEqual({output: list(time) for output, time in times.items()},
                         {"fwd": [3], "bwd": [30], "upd": [300], "step": [101.5 + 2 * 111.5]})
        self.assertRegex(self.command("versus.py", self.study).stdout, r"layer +fwd +bwd +upd +step\n")

    def test_each_table_has_steps_of_its_own(self):
        self.write([point(impl, seconds, output=output, name="a", ic=ic) for output in data.PASSES for ic in (8, 16)
                    for impl, seconds in (("direct", 1), ("onednn", 6), ("onednn-winograd", 2))])
        rows = csv.DictReader(io.StringIO(self.command("versus.py", self.study, "--format=csv").stdout))
        self.assertEqual({(row["against"], float(row["ratio"])) for row in rows if row["pass"] == "step"},
                         {("oneDNN", 6), ("oneDNN with Winograd", 2)})

    def test_a_layer_without_all_its_passes_has_no_step(self):
        self.write([point(impl, 1, output=output, name="a") for output in ("fwd", "upd") for impl in ("direct", "onednn")]
                   + [point(impl, 1, name="b", ic=8) for impl in ("direct", "onednn")])
        summary = self.summary()
        compared = versus.with_steps(versus.compare(summary, data.replicates(summary), "oneDNN"))
        self.assertEqual(list(compared.loc[compared["pass"] == "step", "t_ours_s"]), [2])  # a is the first layer


class Layers(Case):
    """A convolution alone and the layer around it are two things, however alike their problems."""

    def test_they_are_two_rows(self):
        for layers in (("0", "identity"), ("1", "identity")), (("0", "identity"), ("0", "relu")), (("1", "tanh"), ("1", "relu")):
            self.write([point("direct", seconds, bias=bias, act=act) for seconds, (bias, act) in zip((1, 2), layers)])
            self.assertEqual(list(self.summary()["t_median_s"]), [1, 2])

    def test_a_file_without_the_columns_holds_convolutions_alone(self):
        self.write([point("direct", 1)])
        self.assertEqual(list(self.summary()[["bias", "act"]].iloc[0]), ["0", "identity"])

    def test_nobody_wins_against_another_layer(self):
        self.write([point("direct", 1, bias="1", act="relu"), point("onednn", 2, bias="0", act="identity")])
        self.assertIn("nothing to compare", self.command("versus.py", self.study).stderr)
        self.assertRegex(self.command("verdict.py", self.study).stdout, r"avx2, warm caches, with bias and relu, ceiling")

    def test_runs_of_different_layers_are_not_compared(self):
        for name, bias in (("old", "0"), ("new", "1")):
            self.study = self.study.parent / name
            self.study.mkdir()
            self.write(processes(point("direct", 1, bias=bias, act="identity")))
        result = self.command("compare.py", self.study.parent / "old", self.study)
        self.assertEqual(result.returncode, 2)
        self.assertIn("no point is in both", result.stderr)

    def test_figures_of_different_layers_are_two(self):
        self.write([point("direct", 1, ic=ic, oc=ic, bias=bias, act="relu") for ic in (16, 32, 64) for bias in "01"])
        points = data.read_points([self.study])
        names = [name for name, _, _ in plot.figures(points, data.summarize(points))]
        self.assertEqual(names, ["study-t2-avx2-warm-relu-channels", "study-t2-avx2-warm-bias-relu-channels"])


class Comparison(Case):
    """The new run's points beside those of the old: each process of `direct` took so long."""

    def compare(self, old, new, *options):
        for name, times in (("old", old), ("new", new)):
            self.study = self.study.parent / name
            self.study.mkdir(exist_ok=True)
            self.write([point("direct", seconds, rep=rep) for rep, seconds in enumerate(times)], noise=lambda index: 1)
        return self.command("compare.py", *options, self.study.parent / "old", self.study.parent / "new")

    def test_a_regression_beyond_the_threshold_is_status_1(self):
        slow = self.compare((1, 1.01, 1.02), (1.2, 1.21, 1.22))
        self.assertEqual(slow.returncode, 1, slow.stderr)
        self.assertRegex(slow.stdout, r"Slower by more than 5 %: 1\n +1\.198 \[1\.1\d+ 1\.2\d+\] p \d")
        self.assertEqual(self.compare((1, 1.01, 1.02), (1.2, 1.21, 1.22), "--threshold=30").returncode, 0)
        self.assertEqual(self.compare((1.2, 1.21, 1.22), (1, 1.01, 1.02)).returncode, 0)

    def test_noise_is_no_change(self):
        noisy = self.compare((1, 1.5, 2), (1.2, 1.7, 2.2))
        self.assertEqual(noisy.returncode, 0)
        self.assertIn("Changed: 0 of 1", noisy.stdout)
        self.assertIn("meet in 1 of 1 points (100.0 %)", noisy.stdout)

    def test_one_process_decides_nothing(self):
        single = self.compare((1,), (2,))
        self.assertEqual(single.returncode, 0)
        self.assertIn("Undecided, because a run had a single process or is unusable: 1", single.stdout)
        self.assertIn("meet in 0 of 1 points (0.0 %)", single.stdout)

    def test_welch_agrees_with_scipy(self):
        old, new = np.log([1, 1.1, 1.2, 1.05]), np.log([1.3, 1.25, 1.5])
        ratio, low, high, p = compare.welch(old, new)
        self.assertAlmostEqual(p, stats.ttest_ind(old, new, equal_var=False).pvalue)
        self.assertTrue(1 < low < ratio < high)

    def test_bad_input_is_status_2(self):
        self.assertEqual(self.compare((1,), (1,), "--threshold=-1").returncode, 2)
        (self.study.parent / "new" / "points.csv").unlink()
        self.assertEqual(self.command("compare.py", self.study.parent / "old", self.study.parent / "new").returncode, 2)


if __name__ == "__main__":
    unittest.main()
