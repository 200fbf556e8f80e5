"use strict";
// The plots of the rows that the table shows, the best of them where they are many, and of the published numbers.

const MOST_PLOTTED = 12;

const scoredRows = () => filteredRows().filter((row) => row.f1 != null);

/** The best of the rows that the table shows and those whose curves are drawn, in the table's order. */
function plottedRows() {
  const kept = (row, place) => place < MOST_PLOTTED || state.chosen.has(row);
  return scoredRows().filter(kept).sort(compare);
}

function sayLeftOut(figure, rows) {
  const all = scoredRows().length;
  const chosen = "the best, and those whose curves are drawn";
  figure.querySelector(".left-out").textContent = rows.length < all ? `${rows.length} of ${all} rows: ${chosen}.` : "";
}

function points(rows, x, y, facts = () => []) {
  const there = rows.filter((row) => row[x] != null && row[y] != null);
  const chosen = (row) => state.chosen.has(row);
  return {
    type: "scatter",
    mode: "markers+text",
    x: there.map((row) => row[x]),
    y: there.map((row) => row[y]),
    text: there.map((row) => (chosen(row) ? String(row.rank) : "")),
    textposition: "top center",
    textfont: { color: colours().text },
    hovertext: there.map((row) => hover(row, ...facts(row))),
    hoverinfo: "text",
    cliponaxis: false,
    marker: {
      color: there.map((row) => row.style.colour),
      symbol: there.map((row) => row.style.symbol),
      size: there.map((row) => (chosen(row) ? 12 : 8)),
      opacity: there.map((row) => (chosen(row) ? 1 : 0.65)),
      line: { width: 1, color: colours().panel },
    },
  };
}

function stars(methods, x, y) {
  const there = methods.filter((method) => method[x] != null && method[y] != null);
  return {
    type: "scatter",
    mode: "markers+text",
    x: there.map((m) => m[x]),
    y: there.map((m) => m[y]),
    cliponaxis: false,
    text: there.map((m) => escaped(m.name, 18)),
    textfont: { size: 11, color: colours().muted },
    hovertext: there.map(hoverPublished),
    hoverinfo: "text",
    marker: { color: page.star.colour, symbol: page.star.symbol, size: 11 },
  };
}

const SIDES = { "top center": [0, 1], "bottom center": [0, -1], "middle right": [0.55, 0], "middle left": [-0.55, 0] };

/** The stars with their names on a side where each hides no star or name, or none where no side is free. */
function named(canvas, shown, x, y, scale = (value) => value) {
  const [wide, high] = [((x[1] - x[0]) * 125) / canvas.clientWidth, ((y[1] - y[0]) * 18) / canvas.clientHeight];
  const places = shown.x.map((value, i) => [scale(value), shown.y[i]]);
  const apart = (a, b, width) => Math.abs(a[0] - b[0]) > width || Math.abs(a[1] - b[1]) > 0.9 * high;
  const names = [];
  const sides = places.map((place) => {
    const beside = ([across, up]) => [place[0] + across * wide, place[1] + up * high];
    const free = (side) => {
      const name = beside(SIDES[side]);
      const inside = name[0] > x[0] + wide / 2 && name[0] < x[1] - wide / 2;
      const hides = names.some((o) => !apart(name, o, wide)) || places.some((o) => !apart(name, o, wide / 2));
      return inside && !hides;
    };
    const side = Object.keys(SIDES).find(free);
    if (side) names.push(beside(SIDES[side]));
    return side;
  });
  const text = shown.text.map((name, i) => (sides[i] ? name : ""));
  return { ...shown, text, textposition: sides.map((side) => side ?? "top center") };
}

/** An axis from the tenth below the least value, so that what is shown fills the plane. */
function fitted(traces, axis) {
  const least = Math.min(...traces.flatMap((trace) => trace[axis]));
  return { ...RATIO, range: [Math.max(0, Math.min(0.8, Math.floor(least * 10 - 0.3) / 10)), 1.02], dtick: 0.1 };
}

function plane(figure) {
  const rows = plottedRows();
  const measured = points(rows, "recall", "precision");
  const published = stars(state.section.published, "recall", "precision");
  const [x, y] = ["x", "y"].map((axis) => fitted([published, measured], axis));
  sayLeftOut(figure, rows);
  return [
    [isoF1(), named(figure.querySelector(".canvas"), published, x.range, y.range), measured],
    layout({ ...x, ...titled("recall") }, { ...y, ...titled("precision") }, { annotations: isoLabels(y.range[0]) }),
  ];
}

function time(figure) {
  const rows = plottedRows();
  const measured = points(rows, "seconds", "f1", (row) => [`${number(row.seconds, 2)} s a frame`]);
  const published = stars(state.section.published, "seconds", "f1");
  const decades = [...measured.x, ...published.x].map(Math.log10);
  const range = decades.length ? [Math.min(...decades) - 0.3, Math.max(...decades) + 0.3] : [-1, 1];
  const ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000];
  const x = { type: "log", range, tickvals: ticks, ticktext: ticks.map(String), ...titled("seconds a frame") };
  const y = fitted([published, measured], "y");
  sayLeftOut(figure, rows);
  return [
    [named(figure.querySelector(".canvas"), published, range, y.range, Math.log10), measured],
    layout(x, { ...y, ...titled("F1") }),
  ];
}

function bars(figure) {
  const shown = plottedRows();
  const names = shown.map((row) => wrapped(label(row), figure.clientWidth < 600 ? 24 : 44));
  const beyond = (row, bound) => Math.abs((row[bound] ?? row.f1) - row.f1);
  sayLeftOut(figure, shown);
  figure.querySelector(".canvas").style.height =
    `${shown.length * (14 * Math.max(1, ...names.map((lines) => lines.length)) + 12) + 90}px`;
  const trace = {
    type: "bar",
    orientation: "h",
    x: shown.map((row) => row.f1),
    y: shown.map((_, i) => i),
    hoverinfo: "text",
    hovertext: shown.map((row) => hover(row)),
    marker: { color: shown.map((row) => row.style.colour) },
    error_x: {
      type: "data",
      symmetric: false,
      array: shown.map((r) => beyond(r, "high")),
      arrayminus: shown.map((r) => beyond(r, "low")),
      color: colours().text,
      thickness: 1.2,
      width: 3,
    },
  };
  const ticks = {
    tickvals: shown.map((_, i) => i),
    ticktext: names.map((lines) => lines.join("<br>")),
    range: [shown.length - 0.5, -0.5],
    tickfont: { size: 11, color: colours().text },
    showgrid: false,
  };
  return [[trace], layout({ ...RATIO, ...titled("F1") }, ticks, { bargap: 0.35 })];
}
