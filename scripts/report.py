#!/usr/bin/python3
"""Writes what a study measured as one HTML file that needs no network: the verdict first, then the machine, how far the
numbers can be trusted, and every figure and table with its rows of points.csv and the command that made them.
SPDX-License-Identifier: Apache-2.0"""

import json
import shlex
from pathlib import Path

import startup
startup.explain_missing_modules()

import jinja2
import pandas as pd
from markupsafe import Markup

import drawing
import report_figures
import report_tables
import tripass_data as data
import versus
import worth

PAGE = Path(__file__).parent / "page"
CHART_JS = Path("/usr/share/javascript/chart.js/chart.min.js")  # Debian's libjs-chart.js
MARKERS = {  # matplotlib's markers: Chart.js's style and rotation, and the character, filled and hollow
    "o": ("circle", 0, "●○"), "s": ("rect", 0, "■□"), "^": ("triangle", 0, "▲△"), "v": ("triangle", 180, "▼▽"),
    "<": ("triangle", 270, "◀◁"), ">": ("triangle", 90, "▶▷"), "D": ("rectRot", 0, "◆◇"), "d": ("rectRot", 0, "◆◇"),
    "P": ("rectRounded", 0, "■□"), "X": ("rectRounded", 45, "◆◇"), "h": ("circle", 0, "●○"), "p": ("circle", 0, "●○"),
    "H": ("circle", 0, "●○"), "8": ("circle", 0, "●○"), "*": ("star", 0, "★☆"), "": ("circle", 0, "●○")}
DASHES = {"-": [], "--": [6, 3], ":": [2, 3], "-.": [7, 3, 2, 3]}


class Study:
    """All that is known about the studies below one directory, once."""

    def __init__(self, directory):
        self.directory = directory
        self.points = data.read_points([directory])
        self.raw = self.points.drop_duplicates("row")  # as points.csv has them: a point of two states is one row
        self.phases = data.read_phases(self.points)
        self.summary = data.summarize(self.points)
        self.tables = data.replicates(self.summary)
        self.controls = data.controls(self.points)
        self.worth, self.opening = worth.opening(self.points, self.controls)
        self.machines = {study: data.read_machine(study) for study in self.points["study"].unique()}
        by_row = self.points.set_index("row")
        self.places = by_row.groupby(data.GROUP + ["impl"]).groups
        self.groups = by_row.groupby(data.GROUP).groups

    def label(self, study):
        """The study's directory, as seen from ours."""
        inner = Path(study).relative_to(self.directory).as_posix()
        return Path(study).resolve().name if inner == "." else inner

    def rows_of(self, rows):
        """The numbers of the rows of points.csv from which these rows were made."""
        keys, places = (data.GROUP + ["impl"], self.places) if "impl" in rows else (data.GROUP, self.groups)
        return [int(place) for key in rows[keys].itertuples(index=False, name=None) for place in places.get(key, [])]

    def floor(self, row):
        """The noise floor of the row's setting; 1 if it is not known."""
        return self.worth.floor(row[column] for column in data.SETTING)

    def roofs(self, study, threads, isa):
        """{memory level: GB/s} that loads reach."""
        for found in self.machines[study].get("ceilings", []):
            if found["threads"] == threads:
                levels = found.get("bandwidth", {}).get(isa, {"DRAM": found})
                return {level: measured["load_gbps"] for level, measured in levels.items() if measured.get("load_gbps")}
        return {}


def verdicts(study):
    """For each rival and setting: the headline, what whole networks take, the table of who wins where, the figure. None
    of a study that is unusable."""
    sizes = study.summary.drop_duplicates("problem").set_index("problem")[data.SIZES].drop(columns="mb")
    for against in versus.TABLES:
        compared = versus.with_steps(versus.compare(study.summary, study.tables, against))
        compared = study.worth.usable_rows(compared[compared["ratio"].notna()])
        if compared.empty or against != "oneDNN" and "onednn-winograd" not in set(compared["theirs"]):
            continue
        compared = compared.assign(outcome=[report_tables.outcome(row, study.floor(row)) for _, row in compared.iterrows()])
        for setting, rows in sorted(compared.groupby(data.SETTING[1:], sort=False), key=lambda item: -item[0][0]):
            layers = rows[rows["pass"] != "step"]
            yield {"title": data.setting_title(*setting), "against": against, "rows": rows,
                   "headline": headline(layers, against),
                   "networks": list(network_tiles(study, rows)), "table": report_tables.verdict(layers, sizes, against),
                   "figure": report_figures.verdict(study, layers, against)}


def headline(layers, against):
    """What the ratios with an interval say; one without is no headline."""
    counts, ratios = layers["outcome"].value_counts(), layers["ratio"][layers["lo"].notna()]
    told = [f"{words} in {counts[result]}" for result, words in (
        ("faster", f"faster than the best of {against}"), ("tie", "tied"), ("slower", "slower"),
        ("unknown", "undecided, for want of a second process,")) if result in counts]
    text = f"Of {counts.sum()} layers and passes, the best of tripass is {', '.join(told)}"
    if ratios.empty:
        return f"{text}."
    return text + (f". Times faster: {ratios.median():.2f} in the median, from {ratios.min():.2f} to {ratios.max():.2f}."
                   if len(ratios) > 1 else f": {ratios.iloc[0]:.2f} times faster.")


def network_tiles(study, rows):
    """(ratio, its interval, network and pass, outcome) of each network's total time."""
    for (name, mb), network in rows[rows["named"]].groupby(["study", "mb"], sort=False):
        for output in data.PASSES + ["step"]:
            below = versus.summaries(network[network["pass"] == output])
            if below and below[1]["lo"] > 0:  # not NaN: two processes measured all layers
                total = below[1]
                yield (f"{total['ratio']:.2f}×", report_figures.span(total["lo"], total["hi"], ".2f").strip(),
                       drawing.TITLES[output], f"{study.label(name)}, batch {mb:.0f}, {total['count']}",
                       report_tables.outcome(total, study.floor(total)))


def quality(study):
    """What there is to hold against the numbers: (label, value, explanation, class of the tile)."""
    points, good = study.raw, study.summary
    ok = points[points["status"] == "OK"]
    width = ((good["t_hi_s"] - good["t_lo_s"]) / good["t_median_s"] / 2).dropna()
    lost = [f"{count} {status}" for status, count in points["status"].value_counts().items() if status != "OK"]
    yield "rows", len(points), "; ".join([f"{len(ok)} measured, in {ok['rep'].nunique()} processes", *lost]), ""
    if len(width):
        yield ("interval half width", f"±{100 * width.median():.1f} %",
               f"median over the points; nine of ten are within ±{100 * width.quantile(0.9):.1f} %", "")
    yield "calls a point", f"{good['n'].median():.0f}", f"median; from {good['n'].min():.0f} to {good['n'].max():.0f}", ""
    yield from floors(study)
    if points["flags"].notna().any():
        flagged = ok[ok["flags"].fillna("") != ""]
        kinds = flagged["flags"].str.split().explode().value_counts()
        again = (points["attempt"] > 0).sum()
        yield ("noisy rows", len(flagged), (", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "no flag raised")
               + f"; {again} measured again, the last attempt counts", "slower" if len(flagged) > len(ok) / 2 else "")
    if "pinned" in points:
        loose = (pd.to_numeric(ok["pinned"]) == 0).sum()
        yield ("not pinned", loose, "points with a thread off its core" if loose else "each thread stayed on its core",
               "slower" if loose else "faster")
    above = data.above_ceiling(good)
    if above.any():
        yield ("above the ceiling", above.sum(), "faster than multiply-adds in registers, without saving any: "
               + ", ".join(sorted(good["impl"][above].unique())), "slower")
    wrong = points["status"].isin(data.FAILURES).sum()
    yield ("failures", wrong, "wrong result, crash or timeout" if wrong else "each result was checked before it was timed",
           "slower" if wrong else "faster")


def floors(study):
    """The tiles of the noise floor: one a study, thread count and setting that has A/A pairs."""
    if study.controls.empty:
        yield "noise floor", "–", "unknown: no A/A pairs in this study; tripass run --aa measures some", "slower"
    for setting, rows in study.controls.groupby(data.SETTING, sort=False):
        floor = study.worth.floor(setting)
        kind = {worth.QUIET: "faster", worth.USABLE: "", worth.UNUSABLE: "slower"}[worth.grade(0, floor)]
        yield ("noise floor", f"{data.percent(floor)} %",
               f"{study.label(setting[0])}, {data.setting_title(*setting[1:])}: {len(rows)} A/A pairs, of which "
               f"{rows['called'].sum()} were called different by their interval; no difference below the floor is called a win", kind)


def machine_rows(machine):
    """What a reader asks first about a machine; the whole record stands below it."""
    def get(*path):
        value = machine
        for key in path:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        return value if value not in ({}, None, "") else None
    caches = ", ".join(f"{cache['level'].removesuffix('Cache')} {cache['bytes'] // 1024} KiB × {cache['count']}"
                       for cache in get("topology", "caches") or [])
    memory = get("system", "memory")
    rows = {"CPU": get("cpu", "model"), "cores": get("topology", "cores"), "best instruction set": get("cpu", "best_isa"),
            "caches": caches, "memory": memory and f"{int(memory.split()[0]) / 2**20:.1f} GiB", "system": get("system", "distribution"),
            "kernel": get("system", "kernel"), "compiler": get("build", "compiler"), "tripass": get("build", "version"),
            "oneDNN": get("libraries", "onednn"), "OpenBLAS": get("libraries", "openblas"),
            "measured": get("start"), "measured to the end": "yes" if get("completed") else "no: stopped early"}
    return {key: value for key, value in rows.items() if value is not None and value != ""}


def sections(study):
    """(title, introduction, figures, tables) of all that can be shown; what was not measured is not there."""
    rows = study.summary
    won = report_tables.winners(study.worth.usable_rows(rows), study.tables)
    yield "Throughput", "", list(report_figures.throughput(study, rows)), []
    yield ("Crossover", "Who is fastest at which channels (across) and batch (down), and by how much before the next; ≈ a "
           "tie, ? no interval.", [], list(report_tables.crossovers(study, won)) if len(won) else [])
    yield "Roofline", "", list(report_figures.roofline(study, rows)), []
    yield "Accuracy", "", list(report_figures.accuracy(study, rows)), []
    yield "Scaling", "", list(report_figures.scaling(study, rows)), []
    yield ("Cores", "How far apart the cores of the team are: nanoseconds in which a cache line goes there and back. Virtual "
           "machines move; times of the two states are never pooled.", list(report_figures.handoffs(study)),
           list(report_tables.core_matrices(study)))
    yield "Phases", "Where the time of a run goes.", list(report_figures.phases(study, study.phases)), []


def networks(study, found):
    """Totals and layers of each named study."""
    named = study.summary[study.summary["name"] != ""]
    for (*setting, mb), rows in named.groupby(data.SETTING + ["mb"], sort=False):
        title = f"{study.label(setting[0])}, batch {mb:.0f}; {data.setting_title(*setting[1:])}"
        yield report_tables.totals(study, rows, f"{title}: the whole network")
        for verdict in found:
            compared = verdict["rows"]
            compared = compared[(compared[data.SETTING] == setting).all(axis=1) & compared["problem"].isin(rows["problem"])]
            if len(compared):
                yield report_tables.per_layer(study, compared, f"{title}: layers, against {verdict['against']}",
                                              verdict["against"])


def raw_rows(study, file, names):
    """A file of some studies as it is, all in one table."""
    tables = [pd.read_csv(Path(name) / file, dtype=str, keep_default_na=False).assign(study=study.label(name))
              for name in names]
    table = pd.concat(tables, ignore_index=True).fillna("")
    head, *lines = table.to_csv(index=False, lineterminator="\x1e").split("\x1e")[:-1]
    return {"head": head, "lines": lines}


def looks(impls):
    """How each implementation is drawn, for Chart.js."""
    found = {}
    for impl in impls:
        color, letter, line, hollow = drawing.style(impl)
        marker, rotation, characters = MARKERS[letter]
        found[impl] = {"color": color, "marker": marker, "rotation": rotation, "character": characters[hollow],
                       "dash": DASHES[line], "hollow": hollow}
    return found


def page(study):
    found = list(verdicts(study))
    shown = [section for section in sections(study) if section[2] or section[3]]
    tables = list(networks(study, found))
    if tables:
        shown.append(("Networks", "", [], tables))
    tables_of = {"points.csv": study.raw, "phases.csv": study.phases}
    figures = [verdict["figure"] for verdict in found] + [figure for section in shown for figure in section[2]]
    everything = tables + [table for section in shown for table in section[3]]
    for number, item in enumerate(figures + everything):
        item["id"] = f"{item.get('kind', 'table')}-{number}"
        item.setdefault("file", "points.csv")
        behind = tables_of[item["file"]].iloc[item["rows"] if "kind" in item else item["source"]]
        item["commands"] = commands(study, behind["study"].unique())
    files = {file: raw_rows(study, file, table["study"].unique()) for file, table in tables_of.items() if len(table)}
    impls = drawing.listing_order(study.summary["impl"].unique())
    machine = next((machine for machine in study.machines.values() if machine), {})
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"default": float, "allow_nan": False}  # numpy's integers
    return environment.get_template("report.html").render(
        opening=study.opening, rule=worth.RULE, grades=set(study.worth.grades.values()),
        title=f"tripass on {machine.get('cpu', {}).get('model') or 'an unknown machine'}",
        verdicts=found, sections=shown, quality=list(quality(study)), lost=report_tables.lost(study.raw),
        machines={study.label(name): (machine_rows(record), json.dumps(record, indent=2))
                  for name, record in study.machines.items()},
        every=report_tables.every_point(study), impls=impls, looks=looks(impls), colors=drawing.COLORS,
        chart_js=embedded(CHART_JS), script=embedded(PAGE / "report.js"), css=embedded(PAGE / "report.css"),
        data={"figures": figures, "looks": looks(impls + report_figures.processes(study)), "files": files,
              "tables": {table["id"]: table["source"] for table in everything}})


def commands(study, names):
    """The command lines that measured these studies."""
    lines = [study.machines[name].get("study", {}).get("command_line") for name in names]
    return [shlex.join(line) for line in lines if line]


def embedded(path):
    try:
        return Markup(path.read_text())
    except OSError as error:
        raise data.DataError(f"{path}: {error.strerror}; try scripts/install.sh plot") from None


def main():
    parser = worth.parser(__doc__.split("\nSPDX")[0])
    parser.add_argument("directory", type=Path, help="what tripass run -o was given, or a directory above it")
    parser.add_argument("-o", "--output", type=Path, help="the file to write; DIR/report.html if not given")
    options = parser.parse_args()
    out = options.output or options.directory / "report.html"
    text = page(Study(options.directory))
    try:
        out.write_text(text)
    except OSError as error:
        raise data.DataError(f"{out}: cannot write: {error.strerror}") from None
    print(out)


if __name__ == "__main__":
    data.run(main)
