"use strict";
// How every chart is drawn: Chart.js with this page's colours, hover texts, marks, lines and legend.

const DASHES = { solid: [], dash: [8, 4], dot: [2, 3], dashdot: [8, 3, 2, 3] };
const SYMBOLS = {
  circle: { pointStyle: "circle" },
  square: { pointStyle: "rect" },
  diamond: { pointStyle: "rectRot" },
  "triangle-up": { pointStyle: "triangle" },
  "triangle-down": { pointStyle: "triangle", pointRotation: 180 },
  cross: { pointStyle: "cross", isOutline: true },
  x: { pointStyle: "crossRot", isOutline: true },
  star: { pointStyle: "star", isOutline: true },
};

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Chart.js and its plugin for names, which run when the first plot comes into view. */
const loadCharts = lazily(async () => {
  document.head.append(element("script", {}, await unpacked("chart-library")));
  Chart.register(ChartDataLabels);
  Chart.defaults.set({
    animation: false,
    maintainAspectRatio: false,
    font: { family: getComputedStyle(document.body).fontFamily },
    plugins: {
      legend: { display: false },
      tooltip: {
        displayColors: false,
        borderWidth: 1,
        filter: (mark, place) => place === 0,
        callbacks: { title: () => "", label: hoverLines },
      },
      datalabels: {
        display: "auto", // hides a name that would cover another one
        formatter: (point) => point.text || null,
        align: nameSide,
        offset: ({ dataset, dataIndex }) => (dataset.pointRadius[dataIndex] ?? 0) + 1,
        padding: 1,
      },
    },
  });
});

const SIDES = { right: [1, 0], left: [-1, 0], top: [0, -1], bottom: [0, 1] };

/** The side of a mark on which its name covers no other mark and stays inside: for muted names the right is best. */
function nameSide({ chart, dataset, datasetIndex, dataIndex }) {
  const marksOf = (data, i) => (Array.isArray(data.pointRadius) ? chart.getDatasetMeta(i).data : []);
  const all = chart.data.datasets.flatMap(marksOf);
  const mark = chart.getDatasetMeta(datasetIndex).data[dataIndex];
  const [halfWidth, halfHeight] = [(dataset.data[dataIndex].text ?? "").length * 3.3 + 2, 8];
  const radius = dataset.pointRadius[dataIndex] ?? 0;
  const { left, right, top, bottom } = chart.chartArea;
  const isFree = (side) => {
    const [dx, dy] = SIDES[side];
    const [x, y] = [mark.x + dx * (radius + halfWidth), mark.y + dy * (radius + halfHeight)];
    const isInside = x - halfWidth >= left && x + halfWidth <= right && y >= top && y <= bottom;
    const covers = ({ x: x0, y: y0 }) => Math.abs(x0 - x) < halfWidth + 5 && Math.abs(y0 - y) < halfHeight + 5;
    return isInside && !all.some((other) => other !== mark && covers(other));
  };
  const order = dataset.muted ? ["right", "left", "bottom", "top"] : ["top", "bottom", "left", "right"];
  return order.find(isFree) ?? (mark.x < 0.7 * chart.width ? "right" : "left");
}

/** The hover text of a mark, in lines that fit into its chart. */
function hoverLines({ chart, raw, dataset }) {
  const letters = Math.floor(chart.width / 8);
  return (raw.hover ?? dataset.hover).split("\n").flatMap((line) => wrapped(line, letters));
}

function useColours() {
  const [text, muted, grid, panel] = ["--text", "--muted", "--grid", "--panel"].map(css);
  Chart.defaults.set({
    color: text,
    borderColor: grid,
    plugins: {
      tooltip: { backgroundColor: panel, bodyColor: text, borderColor: muted },
      datalabels: { color: ({ dataset }) => (dataset.muted ? muted : text), textStrokeColor: panel, textStrokeWidth: 3 },
    },
  });
}

/** Draw a chart into its figure, in place of the one that is there. */
function drawChart(figure, { height = 400, ...config }) {
  const [box, canvas] = [figure.querySelector(".canvas"), figure.querySelector("canvas")];
  Chart.getChart(canvas)?.destroy();
  box.style.height = `${height}px`;
  new Chart(canvas, config);
  figure.querySelector(".legend")?.replaceChildren(...legendItems(config.data.datasets));
}

function legendItems(datasets) {
  return datasets
    .filter((line) => line.label)
    .map((line) => {
      const sample = element("span", { class: `sample ${line.dash}`, "aria-hidden": "true" });
      sample.style.color = line.borderColor;
      return element("li", {}, sample, line.label);
    });
}

/** A line through points { x, y }; more may have its `label` in the legend and its `hover` text. */
function line(data, colour, more = {}) {
  return { data, borderColor: colour, borderWidth: 2, showLine: true, pointRadius: 0, pointHitRadius: 6, ...more };
}

/** Marks at points { x, y, colour, symbol, size, hover }, with their `text` beside them where they have one. */
function marks(points, more = {}) {
  const panel = css("--panel");
  const shapes = points.map((point) => SYMBOLS[point.symbol]);
  return {
    data: points,
    pointStyle: shapes.map((shape) => shape.pointStyle),
    pointRotation: shapes.map((shape) => shape.pointRotation ?? 0),
    pointRadius: points.map((point) => point.size / 2),
    pointHoverRadius: points.map((point) => point.size / 2 + 1),
    pointBackgroundColor: points.map((point) => point.colour),
    pointBorderColor: points.map((point, i) => (shapes[i].isOutline ? point.colour : panel)),
    pointBorderWidth: shapes.map((shape) => (shape.isOutline ? 2 : 1)),
    ...more,
  };
}

/** Marks and lines between two axes; the first datasets are on top. */
function scatter(x, y, datasets) {
  return { type: "scatter", data: { datasets }, options: { scales: { x, y } } };
}

function axis(title, more = {}) {
  return { title: { display: true, text: title }, ...more };
}

/** An axis of a share, with ticks at whole steps. */
function share(title, low = 0, step = 0.2) {
  return axis(title, { min: low, max: 1, ticks: { stepSize: step, callback: (value) => value.toFixed(1) } });
}

/** A logarithmic axis, with ticks at the values of `texts`. */
function logarithmic(title, min, max, texts) {
  const afterBuildTicks = (scale) => (scale.ticks = Object.keys(texts).map((value) => ({ value: Number(value) })));
  const ticks = { maxRotation: 0, callback: (value) => texts[value] };
  return axis(title, { type: "logarithmic", min, max, ticks, afterBuildTicks });
}
