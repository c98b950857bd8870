#!/usr/bin/python3
"""`tripass explain` reproduces the course's worked example entry by entry, in each of its formats.

    test_explain.py TRIPASS GOLDEN_DIRECTORY

SPDX-License-Identifier: Apache-2.0
"""
import html.parser
import os
import re
import subprocess
import sys
import unittest

TRIPASS, GOLDEN = sys.argv[1:3]
EXAMPLE = "mb1ic1ih3oc1kh3ph1"


def explain(*arguments):
    return subprocess.run([TRIPASS, "explain", *arguments], capture_output=True, text=True)


def golden():
    """The course's matrices: name -> rows of cells."""
    matrices = {}
    with open(os.path.join(GOLDEN, "course.txt")) as file:
        for line in file:
            if line.startswith("#"):
                rows = matrices.setdefault(line[2:].strip(), [])
            else:
                rows.append(line.split())
    return {name: rows for name, rows in matrices.items() if rows}


def text_matrices(text):
    """Matrices of the terminal format: columns of `│ cells │` over consecutive lines."""
    matrices, open_ = [], {}
    for line in text.splitlines():
        seen = {}
        for match in re.finditer("│([^│]*)│", line):
            seen[match.start()] = open_.get(match.start(), []) + [match.group(1).split()]
        matrices += [rows for start, rows in open_.items() if start not in seen]
        open_ = seen
    return matrices + list(open_.values())


class HtmlTables(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tables, self.in_cell = [], False

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag == "td":
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag != "td"

    def handle_data(self, data):
        if self.in_cell:
            self.tables[-1][-1][-1] += data


def html_matrices(text):
    parser = HtmlTables()
    parser.feed(text)
    return parser.tables


def latex_matrices(text):
    bodies = re.findall(r"\\begin\{array\}\{.*?\}\}\n(.*?)\\end\{array\}", text, re.S)
    clean = [re.sub(r"_\{(\d+)\}", r"\1", body) for body in bodies]
    return [[[cell.strip() for cell in row.split("&")] for row in body.strip().split(r"\\") if row.strip()]
            for body in clean]


class Course(unittest.TestCase):
    def check(self, name, matrices_of):
        result = explain("--format=" + name, EXAMPLE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotRegex(result.stdout, r"NOT\s+EQUAL")
        self.assertEqual(len(re.findall(r"equal\s+in\s+every\s+entry", result.stdout)), 4)
        self.assertIn("0.01", result.stdout)  # the default step, not that of train
        found = matrices_of(result.stdout)
        matrices = golden()
        self.assertEqual(len(matrices), 4)
        for title, rows in matrices.items():
            self.assertIn(rows, found, title)

    def test_text(self):
        self.check("text", text_matrices)

    def test_html(self):
        self.check("html", html_matrices)

    def test_latex(self):
        self.check("latex", latex_matrices)


class Others(unittest.TestCase):
    def test_channels_strides_and_dilation_agree(self):
        for problem in ("mb2ic2ih4oc3kh3ph1", "mb1ic2ih5iw4oc2kh2kw3ph1", "mb3ic1ih5oc2kh3sh2ph1", "mb1ic1ih6oc1kh2dh1ph1"):
            for numbers in ([], ["--numbers"]):
                result = explain(problem, *numbers)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertNotRegex(result.stdout, r"NOT\s+EQUAL")
                self.assertGreaterEqual(len(re.findall(r"equal\s+in\s+every\s+entry", result.stdout)), 2)
                if "ic2" in problem:
                    self.assertRegex(result.stdout, r"y\(s,j\)\s=\sΣ\sover\si")
                    self.assertRegex(result.stdout, r"∂L/∂x\(s,i\)\s=\sΣ\sover\sj")
                if re.match("mb[23]", problem):
                    self.assertRegex(result.stdout, r"∂L/∂w\(j,i\)\s=\sΣ\sover\ss")

    def test_too_large_says_by_how_much(self):
        result = explain("mb1ic3ih56oc64kh3ph1")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"^tripass: explain: A would be 200704 x 9408: 1\.57e\+03 times .*\n$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
