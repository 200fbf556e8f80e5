"use strict";
// The curves of the rows that the reader has chosen.

async function chosenCurves(figure) {
  const counts = await curves();
  const chosen = state.section.rows.filter((row) => state.chosen.has(row));
  const every = chosen.flatMap((row) =>
    row.records.map((record) => ({ row, seed: record.seed, ...counts[record.number] })),
  );
  const missing = chosen.flatMap((row) => missingCurves(row, every.filter((curve) => curve.row === row && curve.why)));
  caption(figure, [
    chosen.length
      ? "One line per seed of the rows chosen in the table; the marker is at the threshold chosen on validation."
      : "Choose rows in the table to draw their curves.",
    ...missing,
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

function curveLines(drawn, place, more = {}) {
  const seen = new Set();
  return drawn.map((curve) => {
    const name = seen.has(curve.row) ? null : shortened(label(curve.row), 200);
    seen.add(curve.row);
    const { colour, dash } = curve.row.style;
    return { ...place(curve), name, colour, dash, hover: `${label(curve.row)}\nseed ${curve.seed}`, ...more };
  });
}

/** Markers where validation's thresholds are on the curves; `place` as for the lines. */
function thresholds(drawn, place) {
  return drawn.map((curve) => {
    const [tp, fp] = curve.chosen;
    const at = place({ ...curve, tp: [tp], fp: [fp] });
    return {
      x: at.x[0],
      y: at.y[0],
      size: 10,
      colour: curve.row.style.colour,
      symbol: curve.row.style.symbol,
      hover: `${label(curve.row)}\nseed ${curve.seed}, at the threshold chosen on validation`,
    };
  });
}

async function pr(figure) {
  const place = ({ tp, fp, mitoses }) => ({ x: tp.map((n) => n / mitoses), y: tp.map((n, i) => n / (n + fp[i])) });
  const drawn = await chosenCurves(figure);
  return {
    x: share("recall"),
    y: share("precision"),
    lines: [...isoF1(), ...curveLines(drawn, place)],
    points: [thresholds(drawn, place)],
    notes: isoNames(),
    legend: true,
  };
}

async function froc(figure) {
  const least = 1 / 16;
  const place = ({ tp, fp, mitoses, frames }) => ({
    x: fp.map((n) => Math.max(n / frames, least)),
    y: tp.map((n) => n / mitoses),
  });
  const rates = { "⅛": 1 / 8, "¼": 1 / 4, "½": 1 / 2, 1: 1, 2: 2, 4: 4, 8: 8 };
  const ticks = Object.entries(rates).map(([text, value]) => ({ text, value }));
  const drawn = await chosenCurves(figure);
  const inside = drawn.filter((curve) => curve.chosen[1] / curve.frames <= 16);
  return {
    x: { title: "false positives per frame", log: true, range: [least, 16], ticks },
    y: share("sensitivity"),
    lines: curveLines(drawn, place, { steps: true }),
    points: [thresholds(inside, place)],
    legend: true,
  };
}
