"use strict";
// The plots of all rows that the table shows, and of the published numbers.

const MOST_BARS = 30;

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

function stars(methods, x, y, scale = (value) => value) {
  const there = methods.filter((method) => method[x] != null && method[y] != null);
  const named = uncrowded(there.map((method) => [scale(method[x]), method[y]]));
  return {
    type: "scatter",
    mode: "markers+text",
    x: there.map((m) => m[x]),
    y: there.map((m) => m[y]),
    cliponaxis: false,
    text: there.map((m, i) => (named[i] ? escaped(m.name, 18) : "")),
    textposition: "top center",
    textfont: { size: 11, color: colours().muted },
    hovertext: there.map(hoverPublished),
    hoverinfo: "text",
    marker: { color: page.star.colour, symbol: page.star.symbol, size: 11 },
  };
}

/** Which points can have their name beside them without hiding that of one before: a share of the spread apart. */
function uncrowded(places, across = 0.2, up = 0.15) {
  const spread = (axis) =>
    Math.max(...places.map((place) => place[axis])) - Math.min(...places.map((place) => place[axis])) || 1;
  const [width, height] = [spread(0) * across, spread(1) * up];
  const kept = [];
  return places.map((place) => {
    const free = kept.every((other) => Math.abs(other[0] - place[0]) > width || Math.abs(other[1] - place[1]) > height);
    if (free) kept.push(place);
    return free;
  });
}

/** An axis from the tenth below the least value, so that what is shown fills the plane. */
function fitted(traces, axis) {
  const least = Math.min(...traces.flatMap((trace) => trace[axis]));
  return { ...RATIO, range: [Math.max(0, Math.min(0.8, Math.floor(least * 10 - 0.3) / 10)), 1.02], dtick: 0.1 };
}

function plane() {
  const shown = [stars(state.section.published, "recall", "precision"), points(shownRows(), "recall", "precision")];
  const [x, y] = [fitted(shown, "x"), fitted(shown, "y")];
  return [
    [isoF1(), ...shown],
    layout({ ...x, ...titled("recall") }, { ...y, ...titled("precision") }, { annotations: isoLabels(y.range[0]) }),
  ];
}

function time() {
  const seconds = (row) => [`${number(row.seconds, 2)} s a frame`];
  const traces = [
    stars(state.section.published, "seconds", "f1", Math.log),
    points(shownRows(), "seconds", "f1", seconds),
  ];
  const ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000];
  const x = { type: "log", tickvals: ticks, ticktext: ticks.map(String), ...titled("seconds a frame") };
  return [traces, layout(x, { ...fitted(traces, "y"), ...titled("F1") })];
}

function bars(figure) {
  const rows = shownRows().filter((row) => row.f1 != null);
  const shown = rows.slice(0, MOST_BARS);
  const names = shown.map((row) => escaped(label(row), 60).replace(/ \+ (?=[^+]* \+ [^+]*$)/, "<br>+ "));
  const beyond = (row, bound) => Math.abs((row[bound] ?? row.f1) - row.f1);
  caption(figure, [
    rows.length > MOST_BARS
      ? `The first ${MOST_BARS} of the ${rows.length} rows shown in the table, in its order.`
      : "In the table's order.",
  ]);
  figure.querySelector(".canvas").style.height = `${34 * shown.length + 90}px`;
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
    ticktext: names,
    range: [shown.length - 0.5, -0.5],
    tickfont: { size: 11, color: colours().text },
    showgrid: false,
  };
  return [[trace], layout({ ...RATIO, ...titled("F1") }, ticks, { bargap: 0.35 })];
}
