"use strict";
// The curves of the rows that the reader has chosen.

async function chosenCurves(figure) {
  const chosen = state.section.rows.filter((row) => state.chosen.has(row));
  const every = await Promise.all(
    chosen.flatMap((row) =>
      row.records.map(async (record) => ({ row, seed: record.seed, ...(await curveOf(record.number)) })),
    ),
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
    const text = `${label(curve.row)}\nseed ${curve.seed}`;
    return line(place(curve), colour, { label: name, dash, borderDash: DASHES[dash], hover: text, ...more });
  });
}

/** Markers where validation's thresholds are on the curves; `place` as for the lines. */
function thresholds(drawn, place) {
  return drawn.map((curve) => {
    const [tp, fp] = curve.chosen;
    const [at] = place({ ...curve, tp: [tp], fp: [fp] });
    return {
      ...at,
      size: 10,
      colour: curve.row.style.colour,
      symbol: curve.row.style.symbol,
      hover: `${label(curve.row)}\nseed ${curve.seed}, at the threshold chosen on validation`,
    };
  });
}

async function pr(figure) {
  const place = ({ tp, fp, mitoses }) => tp.map((n, i) => ({ x: n / mitoses, y: n / (n + fp[i]) }));
  const drawn = await chosenCurves(figure);
  const datasets = [marks(thresholds(drawn, place)), ...curveLines(drawn, place), ...isoF1()];
  return scatter(share("recall"), share("precision"), datasets);
}

const RATES = { 0.125: "⅛", 0.25: "¼", 0.5: "½", 1: "1", 2: "2", 4: "4", 8: "8" };

async function froc(figure) {
  const [least, most] = [1 / 16, 16];
  const place = ({ tp, fp, mitoses, frames }) =>
    tp.map((n, i) => ({ x: Math.max(fp[i] / frames, least), y: n / mitoses }));
  const drawn = await chosenCurves(figure);
  const inside = drawn.filter((curve) => curve.chosen[1] / curve.frames <= most);
  const datasets = [marks(thresholds(inside, place)), ...curveLines(drawn, place, { stepped: "before" })];
  return scatter(logarithmic("false positives per frame", least, most, RATES), share("sensitivity"), datasets);
}
