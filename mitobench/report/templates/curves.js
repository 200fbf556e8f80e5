"use strict";
// The curves of the rows that the reader has chosen.

const curves = lazily(() => read("curve-data"));

function chosenCurves(figure) {
  const chosen = state.section.rows.filter((row) => state.chosen.has(row));
  const every = chosen.flatMap((row) =>
    row.records.map((record) => ({ row, seed: record.seed, ...curves()[record.number] })),
  );
  const without = chosen.flatMap((row) =>
    missingCurves(
      row,
      every.filter((curve) => curve.row === row && curve.why),
    ),
  );
  caption(figure, [
    chosen.length
      ? "A line for each seed of the rows chosen in the table; the marker is at the threshold from validation."
      : "Choose rows in the table to draw their curves.",
    ...without,
  ]);
  return every.filter((curve) => !curve.why);
}

function missingCurves(row, without) {
  const reasons = [...new Set(without.map((curve) => curve.why))];
  const seeds = (why) =>
    without
      .filter((curve) => curve.why === why)
      .map((curve) => curve.seed)
      .join(" ");
  return reasons.map((why) => `No curve of ${label(row)}, seed ${seeds(why)}: ${why}.`);
}

function lines(drawn, place, shape) {
  const seen = new Set();
  return drawn.map((curve) => {
    const first = !seen.has(curve.row);
    seen.add(curve.row);
    return {
      type: "scatter",
      mode: "lines",
      ...place(curve),
      name: wrapped(label(curve.row), 44).join("<br>"),
      legendgroup: String(state.section.rows.indexOf(curve.row)),
      showlegend: first,
      line: { color: curve.row.style.colour, dash: curve.row.style.dash, width: 2, shape },
      hoverinfo: "text",
      hovertext: [...wrapped(label(curve.row), 60), `seed ${curve.seed}`].join("<br>"),
    };
  });
}

/** Where validation's thresholds are on the curves; `place` as for the lines. */
function thresholds(drawn, place) {
  const at = drawn.map(({ chosen: [tp, fp], ...curve }) => place({ ...curve, tp: [tp], fp: [fp] }));
  return {
    type: "scatter",
    mode: "markers",
    showlegend: false,
    x: at.flatMap(({ x }) => x),
    y: at.flatMap(({ y }) => y),
    hoverinfo: "text",
    hovertext: drawn.map(({ row, seed }) =>
      [...wrapped(label(row), 60), `seed ${seed}, at its threshold`].join("<br>"),
    ),
    marker: {
      size: 10,
      color: drawn.map(({ row }) => row.style.colour),
      symbol: drawn.map(({ row }) => row.style.symbol),
      line: { width: 1, color: colours().panel },
    },
  };
}

function pr(figure) {
  const place = ({ tp, fp, mitoses }) => ({ x: tp.map((n) => n / mitoses), y: tp.map((n, i) => n / (n + fp[i])) });
  const drawn = chosenCurves(figure);
  const traces = [isoF1(), ...lines(drawn, place, "linear"), thresholds(drawn, place)];
  return [
    traces,
    layout(
      { ...RATIO, ...titled("recall") },
      { ...RATIO, ...titled("precision") },
      { annotations: isoLabels(), ...LEGEND },
    ),
  ];
}

function froc(figure) {
  const least = 1 / 16;
  const place = ({ tp, fp, mitoses, frames }) => ({
    x: fp.map((n) => Math.max(n / frames, least)),
    y: tp.map((n) => n / mitoses),
  });
  const rates = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8];
  const ticks = {
    tickvals: rates,
    ticktext: ["⅛", "¼", "½", "1", "2", "4", "8"],
    range: [Math.log10(least), Math.log10(16)],
  };
  const drawn = chosenCurves(figure);
  return [
    [...lines(drawn, place, "hv"), thresholds(drawn, place)],
    layout(
      { type: "log", ...ticks, ...titled("false positives a frame") },
      { ...RATIO, ...titled("sensitivity") },
      LEGEND,
    ),
  ];
}
