"use strict";
// The plots of the rows that the table shows, the best of them where they are many, and of the published numbers.

const MAX_PLOTTED = 12;

const scoredRows = () => filteredRows().filter((row) => row.f1 != null);

/** The best of the rows that the table shows and those whose curves are drawn, in the table's order. */
function plottedRows() {
  const kept = (row, place) => place < MAX_PLOTTED || state.chosen.has(row);
  return scoredRows().filter(kept).sort(compare);
}

function showLeftOut(figure, rows) {
  const all = scoredRows().length;
  const chosen = "the best, and those whose curves are drawn";
  figure.querySelector(".left-out").textContent = rows.length < all ? `${rows.length} of ${all} rows: ${chosen}.` : "";
}

function rowPoints(rows, x, y, facts = () => []) {
  return rows
    .filter((row) => row[x] != null && row[y] != null)
    .map((row) => ({
      x: row[x],
      y: row[y],
      text: state.chosen.has(row) ? String(row.rank) : "",
      hover: hover(row, ...facts(row)),
      colour: row.style.colour,
      symbol: row.style.symbol,
      size: state.chosen.has(row) ? 12 : 9,
      opacity: state.chosen.has(row) ? 1 : 0.65,
    }));
}

function publishedPoints(methods, x, y) {
  return methods
    .filter((method) => method[x] != null && method[y] != null)
    .map((method) => ({
      x: method[x],
      y: method[y],
      text: shortened(method.name, 18),
      hover: hoverPublished(method),
      colour: page.star.colour,
      symbol: page.star.symbol,
      size: 11,
      published: true,
    }));
}

const BESIDE = { top: [0, 1], bottom: [0, -1], right: [0.55, 0], left: [-0.55, 0] };

/** The points with their names on a side where each hides no point (of `others` too) or name, or without a name. */
function named(canvas, points, others, x, y) {
  const [across, up] = [scale(x, 0, 1), scale(y, 0, 1)];
  const [wide, high] = [130 / canvas.clientWidth, 18 / 340];
  const places = [...points, ...others].map((point) => [across(point.x), up(point.y)]);
  const apart = (a, b, width) => Math.abs(a[0] - b[0]) > width || Math.abs(a[1] - b[1]) > 0.9 * high;
  const names = [];
  return points.map((point, i) => {
    const beside = ([right, above]) => [places[i][0] + right * wide, places[i][1] + above * high];
    const free = (side) => {
      const name = beside(BESIDE[side]);
      const inside = name[0] > wide / 2 && name[0] < 1 - wide / 2;
      return inside && !names.some((o) => !apart(name, o, wide)) && !places.some((o) => !apart(name, o, wide / 2));
    };
    const side = Object.keys(BESIDE).find(free);
    if (side) names.push(beside(BESIDE[side]));
    return { ...point, text: side ? point.text : "", side };
  });
}

/** An axis that starts at a tenth below the lowest value, so that the points fill the plane. */
function cropped(points, axis, title) {
  const least = Math.min(...points.map((point) => point[axis]));
  return share(title, Math.max(0, Math.min(0.8, Math.floor(least * 10 - 0.3) / 10)), 0.1);
}

function plane(figure) {
  const rows = plottedRows();
  const measured = rowPoints(rows, "recall", "precision");
  const published = publishedPoints(state.section.published, "recall", "precision");
  const x = cropped([...measured, ...published], "x", "recall");
  const y = cropped([...measured, ...published], "y", "precision");
  const stars = named(figure.querySelector(".canvas"), published, measured, x, y);
  showLeftOut(figure, rows);
  return { x, y, lines: isoF1(), points: [stars, measured], notes: isoNames(y.range[0]) };
}

function time(figure) {
  const rows = plottedRows();
  const measured = rowPoints(rows, "seconds", "f1", (row) => [`${number(row.seconds, 2)} s per frame`]);
  const published = publishedPoints(state.section.published, "seconds", "f1");
  const every = [...measured, ...published];
  const seconds = every.map((point) => point.x);
  const range = seconds.length ? [Math.min(...seconds) / 2, Math.max(...seconds) * 2] : [0.1, 10];
  const steps = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000];
  const inside = steps.filter((step) => step >= range[0] && step <= range[1]);
  const ticks = inside.map((value) => ({ value, text: String(value) }));
  const x = { title: "seconds per frame", log: true, range, ticks };
  const y = cropped(every, "y", "F1");
  showLeftOut(figure, rows);
  return { x, y, points: [named(figure.querySelector(".canvas"), published, measured, x, y), measured] };
}

function barPlot(figure) {
  const rows = plottedRows();
  const letters = Math.floor(figure.querySelector(".canvas").clientWidth / 8);
  showLeftOut(figure, rows);
  const stacked = rows.map((row) => ({
    label: wrapped(label(row), letters),
    value: row.f1,
    low: row.low ?? row.f1,
    high: row.high ?? row.f1,
    colour: row.style.colour,
    hover: hover(row),
  }));
  return { x: share("F1"), y: { range: [0, 1], ticks: [] }, bars: stacked };
}
