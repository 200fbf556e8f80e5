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
      colour: state.chosen.has(row) ? row.style.colour : `${row.style.colour}a6`, // a6: opacity 0.65
      symbol: row.style.symbol,
      size: state.chosen.has(row) ? 12 : 9,
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

function time(figure) {
  const rows = plottedRows();
  const measured = rowPoints(rows, "seconds", "f1", (row) => [`${number(row.seconds, 2)} s per frame`]);
  const published = publishedPoints(filteredPublished(), "seconds", "f1");
  const every = [...measured, ...published];
  const seconds = every.map((point) => point.x);
  const [low, high] = seconds.length ? [Math.min(...seconds) / 2, Math.max(...seconds) * 2] : [0.1, 10];
  const x = logarithmic("seconds per frame", low, high);
  showLeftOut(figure, rows);
  return scatter(x, cropped(every, "y", "F1"), [marks(measured), marks(published, { muted: true })]);
}

const FOREST = { names: 0.45, textLine: 15, gap: 12, wide: 620 };

/** F1 of each row as a dot on the line of its interval, below each other; its name is beside it, or above if narrow. */
function forest(figure) {
  const rows = plottedRows();
  const width = figure.querySelector(".canvas").clientWidth;
  const beside = width >= FOREST.wide;
  const letters = Math.floor((beside ? FOREST.names * width : width) / 7.5);
  const labels = rows.map((row) => wrapped(label(row), letters));
  const lines = Math.max(1, ...labels.map((name) => name.length));
  const step = lines * FOREST.textLine + FOREST.gap + (beside ? 0 : 12);
  const points = (values, more) => ({
    data: values.map((value, place) => ({ x: value, y: place, hover: hover(rows[place]) })),
    ...more,
  });
  const above = { mirror: true, padding: 0, labelOffset: -step / 2 + 6 };
  const ticks = { autoSkip: false, crossAlign: "far", ...(beside ? {} : above) };
  const accent = css("--accent");
  showLeftOut(figure, rows);
  return {
    type: "bar",
    height: rows.length * step + 60,
    data: {
      labels,
      datasets: [
        points(rows.map((row) => row.f1), {
          type: "line",
          showLine: false,
          pointRadius: 5,
          pointHoverRadius: 7,
          backgroundColor: accent,
          borderColor: accent,
        }),
        points(rows.map((row) => [row.low ?? row.f1, row.high ?? row.f1]), {
          grouped: false,
          barThickness: 2,
          backgroundColor: accent,
        }),
      ],
    },
    options: {
      indexAxis: "y",
      scales: { x: fitted("F1", rows.flatMap((row) => [row.low ?? row.f1, row.high ?? row.f1])), y: { offset: true, border: { display: false }, ticks } },
    },
  };
}

/** An axis from a tenth below the lowest to a tenth above the highest value. */
function fitted(title, values) {
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const min = Math.max(0, Math.floor(low * 10 - 0.01) / 10);
  const max = Math.min(1, Math.ceil(high * 10 + 0.01) / 10);
  return axis(title, { min, max, ticks: { stepSize: 0.1, callback: (value) => value.toFixed(1) } });
}
