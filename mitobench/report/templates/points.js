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
      size: state.chosen.has(row) ? 15 : 11,
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
      size: 13,
    }));
}

/** An axis that starts at a tenth below the lowest value, so that the points fill the plane. */
function cropped(points, axis, title) {
  const least = Math.min(...points.map((point) => point[axis]));
  return share(title, Math.max(0, Math.min(0.8, Math.floor(least * 10 - 0.3) / 10)), 0.1);
}

function plane(figure) {
  const rows = plottedRows();
  const measured = rowPoints(rows, "recall", "precision");
  const published = publishedPoints(filteredPublished(), "recall", "precision");
  const x = cropped([...measured, ...published], "x", "recall");
  const y = cropped([...measured, ...published], "y", "precision");
  showLeftOut(figure, rows);
  return scatter(x, y, [marks(measured), marks(published, { muted: true }), ...isoF1(y.min)]);
}

/** The ticks 1, 2, 5, 10, ... of an axis of seconds, by value. */
function secondsBetween(low, high) {
  const all = [-3, -2, -1, 0, 1, 2, 3, 4].flatMap((power) => [1, 2, 5].map((step) => Number(`${step}e${power}`)));
  return Object.fromEntries(all.filter((value) => value >= low && value <= high).map((value) => [value, String(value)]));
}

function time(figure) {
  const rows = plottedRows();
  const measured = rowPoints(rows, "seconds", "f1", (row) => [`${number(row.seconds, 2)} s per frame`]);
  const published = publishedPoints(filteredPublished(), "seconds", "f1");
  const every = [...measured, ...published];
  const seconds = every.map((point) => point.x);
  const [low, high] = seconds.length ? [Math.min(...seconds) / 2, Math.max(...seconds) * 2] : [0.1, 10];
  const x = logarithmic("seconds per frame", low, high, secondsBetween(low, high));
  showLeftOut(figure, rows);
  return scatter(x, cropped(every, "y", "F1"), [marks(measured), marks(published, { muted: true })]);
}
