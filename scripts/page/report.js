/* Draws the figures of the report with Chart.js, and makes tables sortable. What is drawn was computed by
 * report_figures.py; here are only looks and the interval bars. SPDX-License-Identifier: Apache-2.0 */
"use strict";

const report = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const hidden = new Set();

function color(name) {
  return getComputedStyle(root).getPropertyValue("--" + name).trim();
}

/* Interval bars below the points; above them the names of guides and points, each where it finds room. */
const extras = {
  id: "extras",
  beforeDatasetsDraw(chart) {
    const { ctx, scales: { y }, chartArea } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(chartArea.left, chartArea.top, chartArea.width, chartArea.height);
    ctx.clip();
    chart.data.datasets.forEach((dataset, index) => {
      if (!chart.isDatasetVisible(index))
        return;
      ctx.strokeStyle = dataset.borderColor;
      ctx.lineWidth = 1;
      dataset.data.forEach((point, place) => {
        if (point.lo === undefined)
          return;
        const x = chart.getDatasetMeta(index).data[place].x;
        ctx.beginPath();
        for (const end of [y.getPixelForValue(point.lo), y.getPixelForValue(point.hi)]) {
          ctx.moveTo(x - 3, end);
          ctx.lineTo(x + 3, end);
        }
        ctx.moveTo(x, y.getPixelForValue(point.lo));
        ctx.lineTo(x, y.getPixelForValue(point.hi));
        ctx.stroke();
      });
    });
    ctx.restore();
  },
  afterDatasetsDraw(chart) {
    const { ctx, chartArea } = chart, size = Chart.defaults.font.size - 1;
    const taken = chart.data.datasets.flatMap((dataset, index) => dataset.data.flatMap((point, place) => {
      const { x, y } = chart.getDatasetMeta(index).data[place];
      return point.tag ? [{ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }] : [];
    }));
    ctx.save();
    ctx.font = size + "px " + Chart.defaults.font.family;
    chart.data.datasets.forEach((dataset, index) => {
      const point = chart.getDatasetMeta(index).data[0];
      const text = point && (dataset.guide || dataset.data[0].tag);
      if (!text || !chart.isDatasetVisible(index))
        return;
      const width = ctx.measureText(text).width, gap = 8;
      const places = dataset.guide ? dataset.below ? [[gap, gap]] : [[0, -gap], [-width, -gap]]
                                   : [[gap, 0], [-gap - width, 0], [-width / 2, -1.5 * gap], [-width / 2, 1.5 * gap]];
      const boxes = places.map(([x, y]) => ({ left: point.x + x, top: point.y + y - size / 2,
                                              right: point.x + x + width, bottom: point.y + y + size / 2 }));
      const box = boxes.find(one => one.left >= chartArea.left && one.right <= chartArea.right && !taken.some(
        other => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom));
      if (!box) /* no room: hovering shows it */
        return;
      taken.push(box);
      ctx.fillStyle = dataset.guide ? color("soft") : dataset.borderColor;
      ctx.textBaseline = "middle";
      ctx.fillText(text, box.left, (box.top + box.bottom) / 2);
    });
    ctx.restore();
  },
};

function scale(axis) {
  const options = {
    type: axis.log ? "logarithmic" : "linear", min: axis.min, max: axis.max,
    title: { display: !!axis.label, text: axis.label, color: color("soft") },
    grid: { color: color("line"), borderColor: color("soft"), tickColor: color("line") },
    ticks: { color: color("soft"), maxRotation: 0, autoSkipPadding: 6 },
  };
  if (axis.ticks) {
    options.afterBuildTicks = built => { built.ticks = axis.ticks.map(value => ({ value })); };
    options.ticks.callback = (value, index, ticks) =>
      axis.names ? axis.names[axis.ticks.indexOf(ticks[index].value)] : String(value);
  }
  return options;
}

function dataset_of(series) {
  const look = report.looks[series.impl], line = color(look.color);
  const open = point => look.hollow || point.raw && point.raw.open;
  return {
    label: series.impl, data: series.points, showLine: series.line, hidden: hidden.has(series.impl),
    borderColor: line, borderDash: look.dash, borderWidth: 1.5,
    pointStyle: look.marker, rotation: look.rotation, pointRadius: series.line ? 4 : 4.5, pointHoverRadius: 7,
    pointHitRadius: 6, pointBorderWidth: 1.3, pointBorderColor: line, clip: 6,
    pointBackgroundColor: point => open(point) ? color("paper") : line,
  };
}

function guide_of(guide) {
  return {
    label: "", guide: guide.label || " ", below: guide.below, data: guide.points.map(([x, y]) => ({ x, y })), showLine: true, pointRadius: 0,
    pointHitRadius: 0, borderColor: color("soft"), borderWidth: 1, borderDash: [6, 4], order: 1,
  };
}

function options_of(x, y) {
  return {
    animation: false, maintainAspectRatio: false, devicePixelRatio: Math.max(2, window.devicePixelRatio),
    interaction: { mode: "nearest", intersect: true },
    layout: { padding: { right: 8, top: 8 } },
    scales: { x, y },
    plugins: {
      legend: { display: false },
      tooltip: {
        filter: item => item.dataset.label !== "", displayColors: false,
        callbacks: { title: items => items.length ? items[0].raw.text[0] : "", label: item => item.raw.text.slice(1) },
      },
    },
  };
}

function points_of(panel, figure) {
  return {
    type: "scatter",
    data: { datasets: panel.series.map(dataset_of).concat(panel.guides.map(guide_of)) },
    plugins: [extras],
    options: options_of(scale(figure.x), scale(figure.y)),
  };
}

/* A bar an implementation, its parts stacked. */
function bars_of(panel, figure) {
  const impls = panel.impls.filter(impl => !hidden.has(impl));
  return {
    type: "bar",
    data: { datasets: panel.series.map(part => ({
      data: part.points.filter(point => impls.includes(point.y)), backgroundColor: color(part.color),
      borderColor: color("paper"), borderWidth: { right: 1 }, borderSkipped: false, maxBarThickness: 24,
    })) },
    options: { indexAxis: "y", ...options_of({ ...scale(figure.x), stacked: true }, {
      type: "category", labels: impls, stacked: true, grid: { display: false }, ticks: { color: color("soft"), autoSkip: false },
    }) },
  };
}

function draw(canvas, panel, figure) {
  return new Chart(canvas, panel.impls ? bars_of(panel, figure) : points_of(panel, figure));
}

let charts = [];

function draw_all() {
  charts.forEach(chart => chart.destroy());
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  charts = report.figures.flatMap(figure => [...document.querySelectorAll(`#${figure.id} canvas`)].map(
    (canvas, index) => draw(canvas, figure.panels[index], figure)));
}

for (const button of document.querySelectorAll("#legend button"))
  button.addEventListener("click", () => {
    const impl = button.dataset.impl;
    if (!hidden.delete(impl))
      hidden.add(impl);
    button.setAttribute("aria-pressed", !hidden.has(impl));
    draw_all();
  });

function sort_by(head) {
  const body = head.closest("table").tBodies[0], place = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  const key = row => row.cells[place].dataset.sort;
  const order = (a, b) => key(a) - key(b) || key(a).localeCompare(key(b), "en", { numeric: true });
  for (const other of head.parentNode.cells)
    other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...[...body.rows].sort((a, b) => down ? order(b, a) : order(a, b)));
}

for (const head of document.querySelectorAll("th"))
  head.firstElementChild.addEventListener("click", () => sort_by(head));

function rows_behind(id) {
  const figure = report.figures.find(candidate => candidate.id === id);
  const { head, lines } = report.files[figure ? figure.file : "points.csv"];
  const places = id === "" ? lines.keys() : figure ? figure.rows : report.tables[id];
  return [head, ...[...places].map(place => lines[place]), ""].join("\n");
}

for (const link of document.querySelectorAll("a.rows"))
  link.addEventListener("click", () => {
    link.href = URL.createObjectURL(new Blob([rows_behind(link.dataset.rows)], { type: "text/csv" }));
  });

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw_all);
window.addEventListener("beforeprint", () => { root.classList.add("paper"); draw_all(); });
window.addEventListener("afterprint", () => { root.classList.remove("paper"); draw_all(); });
draw_all();
