"""scripts/report.py on studies made here, looked at with headless Chromium: nothing is fetched, nothing goes wrong, all
figures are drawn, tables sort, links hand out the rows. Without Chromium or selenium it says that it is skipped.
SPDX-License-Identifier: Apache-2.0"""

import csv
import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

try:
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    import test_scripts
    import test_verdicts
    from test_scripts import failed, point, write_csv
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
HOSTILE = "<script>window.broken = 1</script>&\"'"


def browser(folder):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking",
                 "disable-component-update", "disable-sync", "no-first-run", f"user-data-dir={folder}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=webdriver.chrome.service.Service(DRIVER), options=options)


class Page(test_scripts.Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.shared = Path(folder.name) / "study"
        cls.browser = browser(f"{folder.name}/profile")
        cls.addClassCleanup(cls.browser.quit)

    def open(self):
        """The report of self.study, in the browser; the requests that it made."""
        if not (self.study / "report.html").exists():
            result = self.command("report.py", self.study)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
        for log in ("browser", "performance"):
            self.browser.get_log(log)
        self.browser.get((self.study / "report.html").as_uri())
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [message["params"]["request"]["url"] for message in messages
                if message["method"] == "Network.requestWillBeSent"]

    def script(self, code, *arguments):
        return self.browser.execute_script("return " + code, *arguments)

    def titles(self):
        return [title.text for title in self.browser.find_elements(By.CSS_SELECTOR, "figcaption h3")]

    def full_study(self):
        """Everything that a report can show: sweeps that cross, a network, two thread counts, three processes. Written once."""
        self.study = self.shared
        if self.study.exists():
            return
        self.study.mkdir()
        sizes = [dict(ic=ic, oc=ic, mb=mb) for ic in (16, 32, 64) for mb in (1, 2, 4)]
        layers = [dict(name=name, mult=mult, ic=ic) for name, mult, ic in (("first", 1, 3), ("second", 2, 8))]
        impls = {"direct": 2, "winograd-f4": 1, "onednn": 1.5, "onednn-plain": 3, "reference": 100}
        rows = [point(impl, seconds, output=output, threads=threads, rep=rep, pct_peak=50 / seconds, **size)
                for impl, time in impls.items() for size in sizes + layers for output in ("fwd", "bwd", "upd")
                for threads in (1, 2) for rep in range(3) for seconds in [time / threads * (1 + 0.01 * rep)]]
        rows += [row | {"impl": "direct:aa"} for row in rows if row["impl"] == "direct"]
        rows.append(failed("im2col", "FAIL", reason="wrong by 1"))
        self.write([row | {"flags": "steal drift" if row["rep"] == 2 else "", "attempt": 0} for row in rows],
                   noise=lambda index: 1 + index % 3)
        parts = {"import": (9, ""), "input": (1, 25), "multiply": (3, 75)}
        write_csv(self.study / "phases.csv", [
            {key: row[key] for key in ("impl", "pass", "problem", "threads", "rep")}
            | {"phase": phase, "t_s": seconds * (20 if row["impl"] == "onednn-plain" else 1), "pct_run": pct, "flop": "",
               "bytes": 8e9}
            for row in rows if row["name"] == "second" and row["threads"] == 2 and row["impl"] != "im2col"
            for phase, (seconds, pct) in parts.items()])
        ceilings = [{"threads": threads, "fma_gflops": {"avx2": 2 * threads}, "load_gbps": 1.0} for threads in (1, 2)]
        (self.study / "machine.json").write_text(json.dumps({
            "cpu": {"model": HOSTILE}, "study": {"command_line": ["tripass", "run", HOSTILE]}, "ceilings": ceilings}))

    def test_a_full_study(self):
        self.full_study()
        requests = self.open()
        self.assertEqual([url for url in requests if not url.startswith(("file:", "data:", "blob:"))], [])
        self.assertEqual(self.browser.get_log("browser"), [])
        self.assertIsNone(self.script("window.broken"))
        kinds = {figure["kind"] for figure in self.script("report.figures")}
        self.assertEqual(kinds, {"verdict", "throughput", "roofline", "accuracy", "scaling", "phases"})
        headings = [heading.text for heading in self.browser.find_elements(By.TAG_NAME, "h2")]
        self.assertEqual(headings, ["Verdict", "Machine", "Data quality", "Throughput", "Crossover", "Roofline", "Accuracy",
                                    "Scaling", "Phases", "Networks", "Every point"])
        self.assertIn("0.0 %\nnoise floor\nstudy, 1 thread, avx2, warm caches: 33 A/A pairs, of which 0", self.browser.find_element(By.ID, "quality").text)
        self.assertRegex(self.browser.find_element(By.ID, "quality").text, r"396\nnoisy rows\n(steal 396|drift 396)")
        panels = self.script("report.figures.flatMap(figure => figure.panels).length")
        self.assertEqual(self.script("[...document.querySelectorAll('canvas')].filter(canvas => new Uint32Array("
                                     "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)"
                                     ".some(pixel => pixel)).length"), panels)

    def test_hovering_shows_the_numbers(self):
        self.full_study()
        self.open()
        told = self.script("""(() => {
            const chart = charts.find(one => one.canvas.closest("figure").id.startsWith("throughput"));
            chart.tooltip.setActiveElements([{ datasetIndex: 0, index: 0 }], { x: 0, y: 0 });
            chart.update();
            return [...chart.tooltip.title, ...chart.tooltip.body.flatMap(part => part.lines)].join(" ");
        })()""")
        self.assertRegex(told, r"onednn.*GFLOP/s.*ms.*n = 33")

    def test_phases_add_up_to_bars(self):
        self.full_study()
        self.open()
        chart = "charts.find(one => one.canvas.closest('figure').id.startsWith('phases'))"
        self.assertEqual(self.script(f"{chart}.options.scales.y.labels"), ["onednn", "direct", "winograd-f4", "reference"])
        self.assertEqual(self.script(f"{chart}.data.datasets.map(part => part.data.map(point => point.x))"),
                         [[1e3] * 4, [3e3] * 4])
        ends = self.script(f"{chart}.getDatasetMeta(1).data.map(bar => {chart}.scales.x.getValueForPixel(bar.x))")
        for end in ends:
            self.assertAlmostEqual(end, 4e3, delta=1)  # stacked
        figure = self.browser.find_element(By.CSS_SELECTOR, "figure[id^=phases]")
        self.assertIn("more than 8 times the fastest: onednn-plain.", figure.text)
        self.assertIn("90 rows of phases.csv", figure.text)
        rows = list(csv.DictReader(self.script("rows_behind(arguments[0])", figure.get_attribute("id")).splitlines()))
        self.assertEqual({row["phase"] for row in rows}, {"input", "multiply"})
        self.assertEqual(len(rows), 5 * 3 * 3 * 2)  # implementations, passes, processes, phases
        self.script("document.querySelector('#legend button[data-impl=direct]').click()")
        self.assertNotIn("direct", self.script(f"{chart}.options.scales.y.labels"))

    def test_tables_sort_both_ways(self):
        self.full_study()
        self.open()
        self.script("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        place = self.script("[...document.querySelectorAll('#every th')].findIndex(head => head.textContent === 'ms')")
        for better in (sorted, lambda values: sorted(values, reverse=True)):
            self.script("document.querySelectorAll('#every th button')[arguments[0]].click()", place)
            times = self.script("[...document.querySelectorAll('#every tbody tr')].map("
                                "row => Number(row.cells[arguments[0]].dataset.sort))", place)
            self.assertEqual(times, better(times))
            self.assertGreater(len(set(times)), 1)

    def test_links_hand_out_the_rows(self):
        self.full_study()
        self.open()
        with open(self.study / "points.csv", newline="") as file:
            written = list(csv.DictReader(file))
        everything = list(csv.DictReader(self.script("rows_behind('')").splitlines()))
        self.assertEqual([{key: row[key] for key in written[0]} for row in everything], written)
        figure = self.script("report.figures.find(one => one.kind === 'throughput').id")
        rows = list(csv.DictReader(self.script("rows_behind(arguments[0])", figure).splitlines()))
        self.assertEqual({row["name"] for row in rows}, {""})
        self.assertEqual(len({row["ic"] for row in rows}), 3)
        self.assertEqual(self.script("document.querySelector('#' + arguments[0] + ' pre').textContent", figure),
                         "tripass run '" + HOSTILE.replace("'", "'\"'\"'") + "'")

    def test_the_legend_hides_in_all_figures(self):
        self.full_study()
        self.open()
        self.script("document.querySelector('#legend button[data-impl=direct]').click()")
        self.assertEqual(self.script("charts.some(chart => chart.data.datasets.some((set, index) => "
                                     "set.label === 'direct' && chart.isDatasetVisible(index)))"), False)

    def test_phone_dark_and_print(self):
        self.full_study()
        command = self.browser.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})
        self.open()
        self.assertEqual(self.script("document.documentElement.scrollWidth"), 390)
        command("Emulation.clearDeviceMetricsOverride", {})
        inks = []
        for scheme in ("light", "dark"):
            command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            self.browser.execute_async_script(  # the page is told in a frame, and draws again in it
                "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
            inks.append(self.script("[charts[0].options.scales.x.ticks.color, color('ink'), color('blue')]"))
        self.assertTrue(all(light != dark for light, dark in zip(*inks)), inks)
        self.script("window.dispatchEvent(new Event('beforeprint'))")  # on paper always light
        self.assertEqual(self.script("[charts[0].options.scales.x.ticks.color, color('ink'), color('blue')]"), inks[0])
        self.assertTrue(command("Page.printToPDF", {})["data"].startswith("JVBER"))  # %PDF
        command("Emulation.setEmulatedMedia", {"features": []})
        self.assertEqual(self.browser.get_log("browser"), [])

    def test_what_was_not_measured_is_left_out(self):
        self.write([point("direct", 1), failed("onednn", "SKIP")])
        self.open()
        self.assertEqual(self.browser.get_log("browser"), [])
        self.assertEqual(self.titles(), ["Roofline"])
        self.assertIn("there is no verdict", self.browser.find_element(By.ID, "verdict").text)

    def test_what_the_study_is_worth_comes_first(self):
        self.write([row | {"flags": "steal"} for rep in range(3) for row in (
            point("direct", 1, rep=rep), point("onednn", 2, rep=rep), failed("mine", "FAIL", rep=rep, reason=HOSTILE))])
        self.open()
        lines = self.browser.find_element(By.ID, "verdict").text.splitlines()
        self.assertIn("unusable: 6 of 6 points disturbed (steal 6); noise floor unknown", lines[2])
        self.assertEqual(lines[3], f"mine FAIL on 1 point: {HOSTILE}")
        self.assertIn("No winner is declared, because the study is unusable.", lines)
        self.assertEqual(self.titles(), ["Roofline", "Accuracy against speed"])

    def test_how_far_apart_the_cores_were(self):
        test_verdicts.States.write_states(self, "n" * 8, "f" * 8, "n" * 8)
        (self.study / "machine.json").write_text(json.dumps({"ceilings": [
            {"threads": 2, "fma_gflops": {"avx2": 2}, "handoff_step": 1,
             "handoff_ns": [[None, 60, 61], [60, None, 400], [61, 400, None]]}]}))
        self.open()
        self.assertEqual(self.browser.get_log("browser"), [])
        (figure,) = self.script("report.figures.filter(figure => figure.kind === 'handoff')")
        self.assertEqual([[point["y"] for point in line["points"]] for line in figure["panels"][0]["series"]], [[60], [400], [60]])
        self.assertEqual(figure["panels"][0]["guides"][0]["points"][0][1], 150)
        cells = self.script("[...document.querySelectorAll('#cores td')].map(cell => cell.textContent.trim())")
        self.assertEqual(cells, ["0", "–", "60", "61", "1", "60", "–", "400", "2", "61", "400", "–"])
        verdicts = [title.text for title in self.browser.find_elements(By.CSS_SELECTOR, "#verdict article > h3")]
        self.assertEqual(verdicts, ["2 threads, avx2, warm caches, cores near each other, against oneDNN",
                                    "2 threads, avx2, warm caches, cores far apart, against oneDNN"])

    def test_layers_of_different_settings_share_no_figure(self):
        whole = self.study
        for act in ("identity", "relu"):
            self.study = whole / act
            self.study.mkdir()
            self.write([point(impl, seconds, ic=ic, oc=ic, mb=mb, bias="0", act=act) for ic in (16, 32) for mb in (1, 2)
                        for impl, seconds in (("direct", 1), ("onednn", 2))])
        self.study = whole
        self.open()
        self.assertEqual(self.titles().count("Roofline"), 2)
        verdicts = [title.text for title in self.browser.find_elements(By.CSS_SELECTOR, "#verdict article > h3")]
        self.assertEqual(verdicts, ["2 threads, avx2, warm caches, against oneDNN",
                                    "2 threads, avx2, warm caches, with relu, against oneDNN"])
        self.assertEqual(len(self.browser.find_elements(By.CSS_SELECTOR, "#crossover table")), 2)

    def test_a_name_is_text(self):
        self.write([point("direct", 1, name=HOSTILE), point("onednn", 2, name=HOSTILE)])
        self.open()
        self.assertIsNone(self.script("window.broken"))
        self.assertEqual(self.browser.get_log("browser"), [])


if __name__ == "__main__":
    if not CHROMIUM or not DRIVER:
        print("skipped: no chromium with chromedriver here")
        sys.exit(77)
    unittest.main()
