#!/usr/bin/python3
"""`tripass explain` reproduces the course entry by entry, in each of its formats: its matrices, its formulas, and
numbers that are computed again here. In a browser and through LaTeX where there are such.

    test_explain.py TRIPASS GOLDEN_DIRECTORY

SPDX-License-Identifier: Apache-2.0
"""
import html.parser
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from fractions import Fraction

try:
    from selenium import webdriver
except ImportError:
    webdriver = None

TRIPASS, GOLDEN = sys.argv[1:3]
EXAMPLE = "mb1ic1ih3oc1kh3ph1"
BLOCKS = "mb2ic2ih3oc2kh3ph1"
PARTS = ("layer affine activation forward weights jacobian backward picture update large step whole blocks summary "
         "winograd").split()


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


def formulas():
    """(part, formula) of each formula of the course."""
    with open(os.path.join(GOLDEN, "formulas.txt")) as file:
        return [tuple(line.strip().split(None, 1)) for line in file if not line.startswith("#")]


def placed_matrices(text):
    """(column, rows of cells) of each matrix of the terminal format: `│ cells │` over consecutive lines. Inner borders are
    left out."""
    matrices, open_ = [], {}
    for line in text.splitlines() + [""]:
        seen = {}
        for match in re.finditer("│([^│├┤]*)│|├[^│├┤]*┤", line):
            row = [] if match.group(1) is None else [match.group(1).replace("┆", " ").split()]
            seen[match.start()] = open_.get(match.start(), []) + row
        matrices += [(start, rows) for start, rows in open_.items() if start not in seen]
        open_ = seen
    return matrices


def text_matrices(text):
    return [rows for _, rows in placed_matrices(text)]


def borders(text):
    """(lines of borders, columns with borders) of the first matrix that has any."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if "┆" in line)
    block = []
    for line in lines[first:]:
        if not re.search("[│├]", line):
            break
        block.append(line)
    return sum("┼" in line for line in block), block[0].count("┆")


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


LATEX = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "varepsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
         "kappa": "κ", "partial": "∂", "varphi": "φ"}


def latex_matrices(text):
    bodies = re.findall(r"\\begin\{array\}\{[|c]*\}\n(.*?)\\end\{array\}", text, re.S)
    clean = [re.sub(r"_\{([\d,]+)\}", r"\1", body).replace("\\hline\n", "").replace("'", "′") for body in bodies]
    clean = [re.sub(r"\\([a-z]+) ", lambda match: LATEX.get(match.group(1), match.group()), body) for body in clean]
    return [[[cell.strip() for cell in row.split("&")] for row in body.strip().split(r"\\") if row.strip()]
            for body in clean]


def number(cell):
    return float(Fraction(cell.replace("−", "-")))


def numbers(matrix):
    return [[number(cell) for cell in row] for row in matrix]


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transposed(a):
    return [list(row) for row in zip(*a)]


def equations(text):
    """(words, matrices from left to right) of each block between empty lines that holds matrices."""
    blocks = [block for block in text.split("\n\n") if "│" in block]
    return [(squeeze(re.sub("│[^│├┤]*│|├[^│├┤]*┤", " ", block)), [rows for _, rows in sorted(placed_matrices(block))])
            for block in blocks]


def squeeze(text):
    return " ".join(text.split())


class Course(unittest.TestCase):
    def check(self, name, matrices_of):
        result = explain("--format=" + name, EXAMPLE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotRegex(result.stdout, r"NOT\s+EQUAL")
        self.assertEqual(len(re.findall(r"equal\s+in\s+every\s+entry", result.stdout)), 14)
        self.assertIn("0.01", result.stdout)  # the default step, not that of train
        found = matrices_of(result.stdout)
        matrices = golden()
        self.assertEqual(len(matrices), 21)
        for title, rows in matrices.items():
            self.assertIn(rows, found, title)

    def test_text(self):
        self.check("text", text_matrices)

    def test_html(self):
        self.check("html", html_matrices)

    def test_latex(self):
        self.check("latex", latex_matrices)

    def test_formulas(self):
        """Each formula of the course, in the part that shows it."""
        listed = formulas()
        self.assertEqual(len(listed), 26)
        for part, formula in listed:
            result = explain("--part=" + part, BLOCKS if part == "blocks" else EXAMPLE)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(formula, squeeze(result.stdout), part)

    def test_block_formulas(self):
        """The sums over i, j and s, written out for each plane."""
        text = squeeze(explain("--part=blocks", BLOCKS).stdout)
        for a in (1, 2):
            for b in (1, 2):
                self.assertIn(f"y({a},{b}) = x({a},1) ⋆ w({b},1) + x({a},2) ⋆ w({b},2)", text)
                self.assertIn(f"∂L/∂x({a},{b}) = ∂L/∂y({a},1) ⋆ turned w(1,{b}) + ∂L/∂y({a},2) ⋆ turned w(2,{b})", text)
                self.assertIn(f"∂L/∂w({a},{b}) = ∂L/∂y(1,{a}) ⋆ x(1,{b}) + ∂L/∂y(2,{a}) ⋆ x(2,{b})", text)
        found = text_matrices(explain("--part=blocks", BLOCKS).stdout)
        for rows in ([["A11", "A12"], ["A21", "A22"]], [["A11ᵀ", "A21ᵀ"], ["A12ᵀ", "A22ᵀ"]], [["Q(1)ᵀ", "Q(2)ᵀ"]],
                     [["x(1,1)", "x(2,1)"], ["x(1,2)", "x(2,2)"]]):
            self.assertIn(rows, found)


class Numbers(unittest.TestCase):
    """What is printed in numbers, computed again."""

    def matrices(self, part, problem, *arguments):
        result = explain("--part=" + part, problem, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout, equations(result.stdout)

    def equation(self, found, begin, last=False):
        matching = [matrices for words, matrices in found if words.startswith(begin)]
        self.assertTrue(matching, begin)
        return [numbers(matrix) for matrix in matching[-1 if last else 0]]

    def test_affine(self):
        for problem in (EXAMPLE, "mb1ic3ih1oc2kh1", "mb4ic3ih1oc2kh1"):
            text, found = self.matrices("affine", problem)
            y, w, x, b = self.equation(found, "Y = ", last=True)
            dx, dy, w_again = self.equation(found, "∂L/∂X = ", last=True)
            dw, x_again, dy_again = self.equation(found, "∂L/∂W = ", last=True)
            db, dy_row = self.equation(found, "∂L/∂b = ", last=True)
            self.assertEqual((w, x, dy, dy), (w_again, x_again, dy_again, dy_row))
            self.assertEqual(y, [[z + b[j][0] for z in row] for j, row in enumerate(product(w, x))])
            self.assertEqual(dx, product(dy, w))
            self.assertEqual(dw, product(x, dy))
            self.assertEqual(db, [[sum(column) for column in zip(*dy)]])
            self.assertEqual(self.equation(found, "(∂L/∂X)ᵀ", last=True),
                             [transposed(dx), transposed(w), transposed(dy)])
            self.assertEqual(self.equation(found, "(∂L/∂W)ᵀ", last=True), [transposed(dw), transposed(dy), transposed(x)])
            self.assertEqual(len(x[0]), int(problem[2]))
            self.assertRegex(squeeze(text), r"= (−|-)?\d+\$?, tr\(X · ∂L/∂Y · ΔW\) = (−|-)?\d+: equal\.")

    def test_activations(self):
        functions = {
            "identity": (lambda x: x, lambda x: 1), "relu": (lambda x: max(x, 0), lambda x: x > 0),
            "leaky-relu": (lambda x: x if x > 0 else 0.01 * x, lambda x: 1 if x > 0 else 0.01),
            "tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
            "sigmoid": (lambda x: 1 / (1 + math.exp(-x)), lambda x: math.exp(-x) / (1 + math.exp(-x)) ** 2)}
        text, _ = self.matrices("activation", EXAMPLE)
        for name, (phi, slope) in functions.items():
            section = re.search(rf"^{name}: .*?h = 1/256", text, re.S | re.M).group()
            (x, y), (dx, dy, jacobian) = (self.equation(equations(section), begin) for begin in ("X = ", "∂L/∂X = "))
            for k in range(3):
                self.assertAlmostEqual(y[k][0], phi(x[k][0]), delta=1e-3)
                for l in range(3):
                    self.assertAlmostEqual(jacobian[k][l], slope(x[k][0]) if k == l else 0, delta=1e-3)
                self.assertAlmostEqual(dx[0][k], dy[0][k] * slope(x[k][0]), delta=1e-3)
            self.assertTrue({value[0] > 0 for value in x} == {True, False})
            self.assertLess(float(re.search(r"at most\s+(\S+)\s+away", section).group(1)), 1e-4)

    def test_passes_and_step(self):
        """y = A x, dx = A^T dy, y = Q m, dm = Q^T dy, w - mu dw, with the numbers of the sheet."""
        for problem in (EXAMPLE, "mb1ic1ih4oc1kh3sh2ph1"):
            for part in ("forward", "weights", "backward", "update"):
                _, found = self.matrices(part, problem, "--numbers")
                left, matrix, right = [numbers(m) for m in found[0][1]]
                self.assertEqual(left, product(matrix, right), part)
            _, found = self.matrices("step", problem, "--lr=0.5")
            after, before, gradient = [numbers(m) for m in found[0][1]]
            self.assertEqual(after, [[w - 0.5 * g for w, g in zip(*rows)] for rows in zip(before, gradient)])

    def correlation(self, image, kernel, apart=1):
        """With `apart` pixels of the image from one entry of the kernel to the next."""
        rows = len(image) - (len(kernel) - 1) * apart
        columns = len(image[0]) - (len(kernel[0]) - 1) * apart
        return [[sum(kernel[k][l] * image[r + k * apart][c + l * apart] for k in range(len(kernel))
                     for l in range(len(kernel[0]))) for c in range(columns)] for r in range(rows)]

    def test_pictures(self):
        """The picture of backward, with zeros between for a stride; the large convolution, with its dilation."""
        for problem, apart in ((EXAMPLE, 1), ("mb1ic1ih4oc1kh3sh2ph1", 2), ("mb1ic1ih5oc1kh3ph2", 1)):
            _, found = self.matrices("picture", problem, "--numbers")
            dx, padded, turned = [numbers(m) for m in found[1][1]]
            self.assertEqual(dx, self.correlation(padded, turned))
            _, found = self.matrices("large", problem, "--numbers")
            dw, padded, dy = [numbers(m) for m in found[0][1]]
            self.assertEqual(dw, self.correlation(padded, dy, apart))
        zeros = "0 0 0 0 0 0".split()
        self.assertIn([zeros, "0 ∂α 0 ∂β 0 0".split(), zeros, "0 ∂γ 0 ∂δ 0 0".split(), zeros, zeros],
                      text_matrices(explain("--part=picture", "mb1ic1ih4oc1kh3sh2ph1").stdout))

    def test_whole_layer(self):
        for arguments, phi, bias in (((), math.tanh, True), (("--act=relu",), lambda x: max(x, 0), False),
                                     (("--bias",), lambda x: x, True), (("--act=sigmoid", "--bias"), None, True)):
            phi = phi or (lambda x: 1 / (1 + math.exp(-x)))
            text, found = self.matrices("whole", EXAMPLE, *arguments)
            (wx,), (z, y), (dz, slope, dy) = (self.equation(found, begin) for begin in ("w ⋆ x", "z = ", "∂L/∂z = "))
            b = number(re.search(r"b1 = (\S+)", text).group(1))
            self.assertEqual(b != 0, bias)
            for r in range(3):
                for c in range(3):
                    self.assertEqual(z[r][c], wx[r][c] + b)
                    self.assertAlmostEqual(y[r][c], phi(z[r][c]), delta=1e-3)
                    self.assertAlmostEqual(dz[r][c], slope[r][c] * dy[r][c], delta=2e-3)
                    h = 1e-4
                    self.assertAlmostEqual(slope[r][c], (phi(z[r][c] + h) - phi(z[r][c] - h)) / (2 * h), delta=1e-3)
            if bias:
                told = number(re.search(r"∂L/∂b1 = (\S+),", text).group(1))
                self.assertAlmostEqual(told, sum(map(sum, dz)), delta=5e-3)
            else:
                self.assertNotIn("∂L/∂b1 =", text)
            self.assertLess(float(re.search(r"largest difference is\s+(\S+)\.\s", text).group(1)), 1e-4)

    def test_first_order(self):
        for problem in (EXAMPLE, BLOCKS):
            text = squeeze(explain("--part=jacobian", problem).stdout)
            for argument in "xm":
                told = re.search(rf"ΔL = (\S+), ∂L/∂{argument} · Δ{argument} = (\S+): equal\.", text)
                self.assertEqual(told.group(1), told.group(2))

    def test_winograd(self):
        """The fractions are the decimals; together they make a correlation; the points are those of the columns."""
        text = explain("--part=winograd", EXAMPLE).stdout
        for m in (2, 4, 6):
            section = re.search(rf"^F\({m},3\): .*?F\(3,{m}\)", text, re.S | re.M).group()
            exact, name = {}, None
            for words, matrices in equations(section):
                if words != "=":  # otherwise the decimals did not fit the line
                    name, decimals = words.split()[0], matrices[1:]
                    if name not in ("Bᵀ", "G", "Aᵀ"):
                        break
                    exact[name] = [[Fraction(cell.replace("−", "-")) for cell in row] for row in matrices[0]]
                else:
                    decimals = matrices
                for decimal in decimals:
                    for rows in zip(exact[name], numbers(decimal)):
                        for fraction, value in zip(*rows):
                            self.assertAlmostEqual(float(fraction), value, delta=1e-3 * abs(value) + 1e-9)
            at, g, bt = exact["Aᵀ"], exact["G"], exact["Bᵀ"]
            points = [Fraction(word) for word in re.search("points are (.*?), ∞", section).group(1)
                      .replace("±", "").replace("−", "-").split(", ")]
            self.assertEqual(at[1][:-1], [0] + [sign * point for point in points[1:] for sign in (1, -1)])
            for i in range(m):
                for k in range(3):
                    for l in range(m + 2):
                        self.assertEqual(sum(at[i][p] * g[p][k] * bt[p][l] for p in range(m + 2)), l == i + k)
            y = text_matrices(section)[-1]
            self.assertEqual(len(y), m)
        paper = ([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],  # Lavin and Gray, F(2,3)
                 [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]], [[1, 1, 1, 0], [0, 1, -1, -1]])
        section = re.search(r"^F\(2,3\): .*?F\(3,2\)", text, re.S | re.M).group()
        bt, g, at = [numbers(matrices[0]) for _, matrices in equations(section)[:3]]
        for p in range(4):
            for i in range(2):
                for k in range(3):
                    for l in range(4):  # a point's term, however its rows are scaled
                        self.assertEqual(2 * at[i][p] * g[p][k] * bt[p][l], paper[2][i][p] * paper[1][p][k] * paper[0][p][l])
        self.assertIn("225/256", text)


class Sheets(unittest.TestCase):
    def test_lines_fit_the_terminal(self):
        for problem in (EXAMPLE, BLOCKS, "mb1ic1ih4oc1kh3sh2ph1", "mb2ic3ih4oc2kh3ph1", "mb1ic2ih8oc2kh3ph1",
                        "mb1ic1ih8oc1kh5ph2"):
            for numbers_ in ([], ["--numbers"]):
                text = explain(problem, *numbers_).stdout
                self.assertGreater(len(text), 1000)
                self.assertEqual([line for line in text.splitlines() if len(line.rstrip()) > 80], [], problem)
        self.assertRegex(squeeze(explain("--part=forward", BLOCKS).stdout), "cut to fit: columns 1 to 9 of 18:")

    def test_blocks_have_borders(self):
        self.assertEqual(borders(explain("--part=forward", "mb1ic2ih2oc2kh1").stdout), (1, 1))
        self.assertEqual(borders(explain("--part=forward", "--numbers", "mb1ic3ih2oc2kh1").stdout), (1, 2))

    def test_large_convolution_for_each_channel_and_image(self):
        text = explain("--part=large", BLOCKS).stdout
        for j in (1, 2):
            for i in (1, 2):
                for s in (1, 2):
                    self.assertIn([[f"∂y{s}{j},{h}{w}" for w in (1, 2, 3)] for h in (1, 2, 3)], text_matrices(text))
                    self.assertIn(["0", f"x{s}{i},11", f"x{s}{i},12", f"x{s}{i},13", "0"],
                                  [row for matrix in text_matrices(text) for row in matrix])
        self.assertRegex(explain("--part=large", "mb3ic2ih3oc2kh3ph1").stdout, "8 of 12 products are shown")

    def test_summary_has_this_problems_sizes(self):
        text = explain("--part=summary", "mb2ic3ih6oc4kh3sh2ph1").stdout
        boxes = [rows for rows in text_matrices(text) if len(rows) == 2]
        self.assertEqual([[" ".join(row) for row in rows] for rows in boxes],
                         [["x padded", "6 of 7 × 7"], ["w", "12 of 3 × 3"], ["y", "8 of 3 × 3"],
                          ["∂L/∂y padded", "8 of 8 × 8"], ["turned w", "12 of 3 × 3"], ["∂L/∂x", "6 of 6 × 6"],
                          ["x padded", "6 of 7 × 7"], ["∂L/∂y", "8 of 3 × 3"], ["∂L/∂w", "12 of 3 × 3"]])

    def test_parts(self):
        whole = explain(BLOCKS).stdout
        self.assertEqual(re.findall("^  ([a-z]+) +[A-Z]", whole.split("\n\n\n")[0], re.M), PARTS)
        for part in PARTS:
            one = explain("--part=" + part, BLOCKS)
            self.assertEqual(one.returncode, 0, one.stderr)
            body = one.stdout.split("\n\n\n", 1)[1]
            self.assertIn(body.strip(), whole)
            self.assertEqual(len(re.findall("^---", body, re.M)), 1)
        two = explain("--part=step,forward", BLOCKS).stdout
        self.assertEqual(len(re.findall("^---", two, re.M)), 2)

    def test_parts_that_do_not_apply(self):
        self.assertIn("Winograd", explain(EXAMPLE).stdout)
        for problem, reason in (("mb1ic3ih1oc2kh1", "3x3 kernels only"), ("mb1ic1ih6oc1kh3dh1ph1", "no dilation")):
            self.assertRegex(explain(problem).stdout, rf"Not\s+for\s+this\s+problem:[^.]*{reason.split()[0]}")
            refused = explain("--part=winograd", problem)
            self.assertEqual((refused.returncode, refused.stdout), (2, ""))
            self.assertRegex(refused.stderr, rf"^tripass: explain: --part=winograd: {reason}; try .*\n$")
        strided = explain("--part=winograd", "mb1ic1ih8oc1kh3sh2ph1").stdout
        self.assertEqual(re.findall(r"^F\(\d,\d\)", strided, re.M), ["F(3,2)", "F(5,2)", "F(7,2)"])
        differences = re.findall(r"difference\s+(?:is\s+)?(\d\S+e\S\d+)", strided)
        self.assertEqual(len(differences), 6)
        self.assertLess(max(map(float, differences)), 1e-9)

    def test_bad_input(self):
        for arguments, what in ((["--part=foward", EXAMPLE], "no such part; try --part=forward"),
                                (["--part=", EXAMPLE], "try --part=forward"),
                                (["--part=blocks", EXAMPLE], "one channel and one image"),
                                (["--fragment", EXAMPLE], "try --format=latex --fragment"),
                                (["--act=swish", EXAMPLE], "no such activation"), ([], "0 problems"),
                                (["g2mb1ic2ih3oc2kh3ph1"], "groups"), (["mb500ic1ih3oc1kh3ph1"], "500 images")):
            result = explain(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
            self.assertRegex(result.stderr, r"^tripass: .*\n$")
            self.assertIn(what, result.stderr)

    def test_channels_strides_and_dilation_agree(self):
        for problem in ("mb2ic2ih4oc3kh3ph1", "mb1ic2ih5iw4oc2kh2kw3ph1", "mb3ic1ih5oc2kh3sh2ph1", "mb1ic1ih6oc1kh2dh1ph1",
                        "mb1ic1ih7oc1kh3sh3dh1ph2", "mb2ic1ih4oc2kh2ph2", "mb1ic1ih4oc1kh1ph1", "mb1ic2ih5iw6oc1kh3kw3sh2sw1ph0pw1"):
            for numbers_ in ([], ["--numbers"]):
                result = explain(problem, *numbers_)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertNotRegex(result.stdout, r"NOT\s+EQUAL")
                self.assertGreaterEqual(len(re.findall(r"equal\s+in\s+every\s+entry", result.stdout)), 14)

    def test_too_large_says_by_how_much(self):
        result = explain("mb1ic3ih56oc64kh3ph1")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"^tripass: explain: A would be 200704 x 9408: 1\.57e\+03 times .*\n$")


@unittest.skipUnless(shutil.which("pdflatex"), "no pdflatex")
class Latex(unittest.TestCase):
    def compiled(self, folder, text):
        with open(os.path.join(folder, "sheet.tex"), "w") as file:
            file.write(text)
        result = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "sheet.tex"], cwd=folder,
                                capture_output=True, text=True, errors="replace")
        self.assertEqual(result.returncode, 0, result.stdout[-2000:])
        self.assertNotIn("Missing character", result.stdout)
        if shutil.which("pdffonts"):
            fonts = subprocess.run(["pdffonts", "sheet.pdf"], cwd=folder, capture_output=True, text=True).stdout
            self.assertNotIn("Type 3", fonts)
            self.assertIn("Type 1", fonts)
            info = subprocess.run(["pdfinfo", "sheet.pdf"], cwd=folder, capture_output=True, text=True).stdout
            self.assertIn("A4", info)

    def test_documents(self):
        for problem in (EXAMPLE, BLOCKS, "mb1ic1ih4oc1kh3sh2ph1"):
            with tempfile.TemporaryDirectory() as folder:
                self.compiled(folder, explain("--format=latex", problem).stdout)

    def test_fragments_are_input(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, problem in (("one", EXAMPLE), ("two", BLOCKS)):
                body = explain("--format=latex", "--fragment", "--part=forward,picture,summary", problem).stdout
                self.assertNotRegex(body, r"\\documentclass|\\begin\{document\}|\\end\{document\}|^\\usepackage")
                self.assertRegex(body.splitlines()[0], r"^%.*\\usepackage\{amsmath,graphicx\}")
                with open(os.path.join(folder, name + ".tex"), "w") as file:
                    file.write(body)
            self.compiled(folder, "\\documentclass[a4paper]{book}\\usepackage{amsmath,graphicx}\\begin{document}"
                                  "\\chapter{Notes}\\input{one}\\input{two}\\end{document}\n")


@unittest.skipUnless(webdriver and shutil.which("chromium") and shutil.which("chromedriver"), "no browser")
class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars",
                     "disable-background-networking", "disable-component-update", "disable-sync", "no-first-run",
                     f"user-data-dir={folder.name}/profile"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(service=webdriver.chrome.service.Service(shutil.which("chromedriver")),
                                       options=options)
        cls.addClassCleanup(cls.browser.quit)
        cls.folder = folder.name

    def setUp(self):
        self.open(BLOCKS)

    def open(self, problem):
        with open(os.path.join(self.folder, "sheet.html"), "w") as file:
            file.write(explain("--format=html", problem).stdout)
        self.browser.get("file://" + file.name)

    def script(self, code):
        return self.browser.execute_script("return " + code)

    def width(self, pixels, media=""):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": pixels, "height": 844, "mobile": False,
                                                                            "deviceScaleFactor": 1})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media})

    def test_navigation_reaches_every_part(self):
        self.width(1200)
        links = self.script("[...document.querySelectorAll('nav a')].map(link => link.hash.slice(1))")
        self.assertEqual(links, PARTS)
        self.assertEqual(self.script("[...document.querySelectorAll('h2')].map(heading => heading.id)"), PARTS)
        self.browser.execute_script("document.querySelector('nav a[href=\"#picture\"]').click()")
        self.assertLess(abs(self.script("document.getElementById('picture').getBoundingClientRect().top")), 100)
        self.assertEqual(self.browser.get_log("browser"), [])

    def test_a_telephone_reads_it(self):
        """The page is as wide as the screen; a matrix that is wider scrolls in its box and shows that it does."""
        self.width(390)
        self.assertLessEqual(self.script("document.documentElement.scrollWidth"), 390)
        wide = self.script("[...document.querySelectorAll('.equation')].filter(box => box.scrollWidth > box.clientWidth)"
                           ".map(box => getComputedStyle(box).overflowX + getComputedStyle(box).backgroundAttachment)")
        self.assertTrue(wide)
        self.assertEqual(set(wide), {"autolocal, local, scroll, scroll"})

    def test_print_cuts_nothing_off(self):
        self.width(718, "print")  # A4 less margins, at 96 pixels an inch
        for problem in (BLOCKS, "mb1ic1ih8oc1kh3ph1", "mb1ic12ih1oc11kh1"):
            self.open(problem)
            self.assertLessEqual(self.script("Math.max(...[...document.querySelectorAll('.matrix')].map(matrix =>"
                                             " matrix.getBoundingClientRect().right))"), 718, problem)
        self.assertEqual(self.script("getComputedStyle(document.querySelector('nav')).display"), "none")
        self.width(1200)

    def test_variables_are_italic(self):
        """w in the first matrix of weights; not the digits of its index, nor words."""
        self.assertEqual(self.script("getComputedStyle([...document.querySelectorAll('.matrix td i')].find(i =>"
                                     " i.textContent == 'w')).fontStyle"), "italic")
        self.assertNotIn("italic", self.script("[...document.querySelectorAll('.matrix sub')].map(sub =>"
                                               " getComputedStyle(sub).fontStyle)"))
        self.assertIn("turned", self.script("[...document.querySelectorAll('.drawing .box')].map(box => box.innerText)"
                                            ".join(' ')"))
        self.assertEqual(self.script("[...document.querySelectorAll('i')].filter(i => i.textContent.length > 2).length"), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
