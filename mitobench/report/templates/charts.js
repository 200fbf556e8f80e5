"use strict";
// Charts as SVG: lines, markers and bars between two axes, with a legend below and a box of text for what the pointer
// is on. A chart is { x, y, lines, points, bars, notes, legend }; colours of axes and text are those of the page's style.

const MARGIN = { left: 46, right: 18, top: 16, bottom: 46 };
const DASHES = { solid: null, dash: "8 4", dot: "2 3", dashdot: "8 3 2 3" };
const BAR = { thickness: 14, line: 15, gap: 10 };
const star = (at) =>
  [...Array(10).keys()]
    .map((i) => [at(i), (i * Math.PI) / 5])
    .map(([radius, angle]) => `${radius * Math.sin(angle)},${-radius * Math.cos(angle)}`)
    .join("L");
const SYMBOLS = {
  circle: "M-1,0A1,1 0 1 1 1,0A1,1 0 1 1 -1,0Z",
  square: "M-.9,-.9H.9V.9H-.9Z",
  diamond: "M0,-1.25L1.25,0L0,1.25L-1.25,0Z",
  "triangle-up": "M0,-1.2L1.15,.8H-1.15Z",
  "triangle-down": "M0,1.2L1.15,-.8H-1.15Z",
  cross: "M-.4,-1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2V-.4H-.4Z",
  x: "M-1.1,-.6L-.6,-1.1L0,-.5L.6,-1.1L1.1,-.6L.5,0L1.1,.6L.6,1.1L0,.5L-.6,1.1L-1.1,.6L-.5,0Z",
  star: `M${star((i) => (i % 2 ? 0.55 : 1.4))}Z`,
};

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Where a value of an axis is between two ends, in px. */
function scale({ range, log }, start, end) {
  const place = log ? Math.log10 : (value) => value;
  const [low, high] = range.map(place);
  return (value) => start + ((place(value) - low) / (high - low)) * (end - start);
}

/** Draw a chart into an element, in place of the one that is there. */
function drawChart(canvas, chart) {
  const height = chart.bars ? barsHeight(chart.bars) : 400;
  const box = { width: canvas.clientWidth, height, left: chart.bars ? 12 : MARGIN.left };
  box.right = box.width - MARGIN.right;
  box.bottom = height - MARGIN.bottom;
  const x = scale(chart.x, box.left, box.right);
  const y = scale(chart.y, box.bottom, MARGIN.top);
  const drawing = svg(
    "svg",
    { width: box.width, height, viewBox: `0 0 ${box.width} ${height}` },
    ...axes(chart, x, y, box),
    lines(chart.lines ?? [], x, y, box, canvas.parentElement.dataset.plot),
    ...(chart.notes ?? []).map((note) => svg("text", { class: "note", x: x(note.x) - 3, y: y(note.y) - 3 }, note.text)),
    ...(chart.points ?? []).map((points) => markers(points, x, y)),
    chart.bars ? bars(chart.bars, x, box) : null,
  );
  canvas.replaceChildren(drawing, chart.legend ? legend(chart) : "");
  canvas.chart = chart;
}

function axes({ x: along, y: up, bars: stacked }, x, y, box) {
  const vertical = along.ticks.flatMap(({ value, text }) => [
    svg("path", { class: "grid", d: `M${x(value)},${MARGIN.top}V${box.bottom}` }),
    svg("text", { class: "tick", x: x(value), y: box.bottom + 17, "text-anchor": "middle" }, text),
  ]);
  const middle = (MARGIN.top + box.bottom) / 2;
  const horizontal = up.ticks.flatMap(({ value, text }) => [
    svg("path", { class: "grid", d: `M${box.left},${y(value)}H${box.right}` }),
    svg("text", { class: "tick", x: box.left - 7, y: y(value) + 4, "text-anchor": "end" }, text),
  ]);
  const title = { x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" };
  const turned = { transform: `translate(13,${middle}) rotate(-90)`, "text-anchor": "middle" };
  return [...vertical, ...horizontal, svg("text", title, along.title), stacked ? "" : svg("text", turned, up.title)];
}

function lines(drawn, x, y, box, name) {
  const inside = { x: box.left, y: MARGIN.top, width: box.right - box.left, height: box.bottom - MARGIN.top };
  const paths = drawn.flatMap((line) => {
    const d = path(line, x, y);
    const look = { stroke: line.colour, "stroke-width": line.width ?? 2, "stroke-dasharray": DASHES[line.dash] };
    const seen = svg("path", { class: line.colour ? "line" : "iso", d, ...look });
    return line.hover ? [seen, svg("path", { class: "line near", d, "data-hover": line.hover })] : [seen];
  });
  return svg(
    "g",
    { "clip-path": `url(#inside-${name})` },
    svg("clipPath", { id: `inside-${name}` }, svg("rect", inside)),
    ...paths,
  );
}

/** A line through points [x, y]; with `steps` it goes along first and then up. */
function path({ x: along, y: up, steps }, x, y) {
  const parts = along.map((value, i) => {
    const [across, high] = [x(value).toFixed(1), y(up[i]).toFixed(1)];
    if (!i) return `M${across},${high}`;
    return steps ? `H${across}V${high}` : `L${across},${high}`;
  });
  return parts.join("");
}

const SIDES = { top: [0, -1], bottom: [0, 1], right: [1, 0], left: [-1, 0] };

function markers(points, x, y) {
  const drawn = points.map((point) => {
    const [across, up] = [x(point.x), y(point.y)];
    const look = { d: SYMBOLS[point.symbol], fill: point.colour, "fill-opacity": point.opacity };
    const at = `translate(${across.toFixed(1)},${up.toFixed(1)})`;
    const marker = svg("path", {
      ...look,
      class: "marker",
      transform: `${at} scale(${point.size / 2})`,
      "data-hover": point.hover,
    });
    return svg("g", {}, marker, point.text ? markerName(point, across, up) : null);
  });
  return svg("g", {}, ...drawn);
}

function markerName(point, across, up) {
  const [right, down] = SIDES[point.side ?? "top"];
  const away = point.size / 2 + 4;
  const place = { x: across + right * away, y: up + down * away + (down === 1 ? 9 : down ? 0 : 4) };
  const anchor = ["end", "middle", "start"][right + 1];
  return svg("text", { class: point.published ? "name muted" : "name", ...place, "text-anchor": anchor }, point.text);
}

const barHeight = (bar) => bar.label.length * BAR.line + BAR.thickness + BAR.gap;
const barsHeight = (stacked) =>
  stacked.reduce((total, bar) => total + barHeight(bar), MARGIN.top + MARGIN.bottom);

/** Bars below each other, each under its name, with its interval. */
function bars(stacked, x, box) {
  let top = MARGIN.top;
  const drawn = stacked.map((bar) => {
    const start = top;
    const from = start + bar.label.length * BAR.line;
    const middle = from + BAR.thickness / 2;
    top += barHeight(bar);
    const names = bar.label.map((text, i) =>
      svg("text", { class: "bar-name", x: box.left, y: start + (i + 1) * BAR.line - 4 }, text),
    );
    const size = { x: x(0), y: from, width: x(bar.value) - x(0), height: BAR.thickness };
    const ends = [x(bar.low), x(bar.high)];
    const whisker = `M${ends[0]},${middle}H${ends[1]}M${ends[0]},${middle - 4}v8M${ends[1]},${middle - 4}v8`;
    return svg(
      "g",
      { "data-hover": bar.hover },
      ...names,
      svg("rect", { ...size, class: "bar", fill: bar.colour }),
      svg("path", { class: "whisker", d: whisker }),
    );
  });
  return svg("g", {}, ...drawn);
}

function legend({ lines: drawn }) {
  const named = drawn.filter((line) => line.name);
  const items = named.map((line) => {
    const look = { stroke: line.colour, "stroke-width": 2.5, "stroke-dasharray": DASHES[line.dash] };
    const sample = svg("svg", { width: 30, height: 10 }, svg("path", { class: "line", d: "M0,5H30", ...look }));
    return element("li", {}, sample, line.name);
  });
  return element("ul", { class: "legend" }, ...items);
}

/** Show what a chart knows of the mark under the pointer, in a box beside it. */
function watchPointer() {
  const box = element("div", { id: "hover", hidden: true, role: "status" });
  document.body.append(box);
  document.addEventListener("pointermove", (event) => {
    const text = event.target.closest?.("[data-hover]")?.dataset.hover;
    box.hidden = !text;
    if (!text) return;
    box.textContent = text;
    const left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8);
    const below = event.clientY + 14 + box.offsetHeight < innerHeight;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below ? event.clientY + 14 : event.clientY - box.offsetHeight - 14}px`;
  });
}
