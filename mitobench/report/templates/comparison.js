"use strict";
// Two rows side by side, with the paired difference of their scores as `mitobench compare` computes it: the jackknife
// leaves each slide out of both rows at once (mitobench/evaluate/jackknife.py).

const MIN_SLIDES = 5; // with fewer, frames vary in place of slides
const MAX_FRAMES = 10;

/** A ratio's numerator and denominator from counts [tp, fp, fn]. */
const RATIOS = {
  F1: ([tp, fp, fn]) => [2 * tp, 2 * tp + fp + fn],
  precision: ([tp, fp]) => [tp, tp + fp],
  recall: ([tp, , fn]) => [tp, tp + fn],
};

/** The t for a two-sided 95 % interval. With t = sqrt(degrees) tan(a), the density of `a` is cos(a) ^ (degrees - 1). */
function tQuantile(degrees, confidence = 0.95) {
  const [steps, width] = [20_000, Math.PI / 2 / 20_000];
  const areas = new Float64Array(steps + 1);
  for (let i = 0; i < steps; i++) areas[i + 1] = areas[i] + Math.cos((i + 0.5) * width) ** (degrees - 1);
  const wanted = confidence * areas[steps];
  const after = areas.findIndex((area) => area >= wanted);
  const part = (wanted - areas[after - 1]) / (areas[after] - areas[after - 1]);
  return Math.sqrt(degrees) * Math.tan((after - 1 + part) * width);
}

/** The sum of some counts [tp, fp, fn]. */
function total(counts) {
  return counts.reduce((sum, unit) => sum.map((value, k) => value + unit[k]), [0, 0, 0]);
}

/**
 * The difference of a ratio between two methods, and its 95 % interval.
 * @param {number[][]} a counts [tp, fp, fn] of each unit (slide or frame) by one method
 * @param {number[][]} b the same by the other
 * @param {(counts: number[]) => number[]} ratio one of `RATIOS`
 * @returns {{delta: number, low: number, high: number} | null} null where it is undefined
 */
function pairedDifference(a, b, ratio) {
  const value = (counts) => ratio(counts)[0] / ratio(counts)[1];
  const less = (sum, unit) => sum.map((count, k) => count - unit[k]);
  const [sumA, sumB] = [total(a), total(b)];
  const delta = value(sumA) - value(sumB);
  const weights = a.map((unit, i) => ratio(unit)[1] + ratio(b[i])[1]);
  const n = weights.filter((weight) => weight > 0).length;
  if (Number.isNaN(delta) || n < 2) return null;
  const squares = a.map((unit, i) =>
    weights[i] > 0 ? (value(less(sumA, unit)) - value(less(sumB, b[i])) - delta) ** 2 : 0,
  );
  const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);
  const variance = Math.max(((n - 1) / n) * sum(squares), leastVariance(a, b, value));
  const degrees = Math.max(sum(weights) ** 2 / sum(weights.map((weight) => weight ** 2)) - 1, 1);
  const half = tQuantile(degrees) * Math.sqrt(variance);
  if (Number.isNaN(half)) return null;
  return { delta, low: Math.max(-1, delta - half), high: Math.min(1, delta + half) };
}

/** The variance if the additional hits and false positives of one method occurred independently. */
function leastVariance(a, b, value) {
  const [sumA, sumB] = [total(a), total(b)];
  const between = sumA.map((count, k) => (count + sumB[k]) / 2);
  const [tp, fp, fn] = between;
  const apart = (k) => a.reduce((n, unit, i) => n + Math.abs(unit[k] - b[i][k]), 0);
  const hit = value([tp + 1, fp, fn - 1]) - value(between);
  const falsePositive = value([tp, fp + 1, fn]) - value(between);
  return apart(0) * hit ** 2 + apart(1) * falsePositive ** 2;
}

/**
 * The frames of two rows with the mean counts over the seeds that both have, or why they cannot be compared.
 * @returns {Promise<{why?: string, seeds?: number[], frames?: {frame: string, group: string, a: number[], b: number[]}[]}>}
 */
async function pairedFrames(a, b) {
  const seeds = a.seeds.filter((seed) => b.seeds.includes(seed));
  if (!seeds.length) return { why: "they have no seed in common" };
  const sorted = (record) => [...(record?.frames ?? [])].sort((one, other) => (one[0] < other[0] ? -1 : 1));
  const framesOf = (row) =>
    Promise.all(
      row.records
        .filter((record) => seeds.includes(record.seed))
        .map(async ({ number }) => sorted(await recordOf(number))),
    );
  const [ofA, ofB] = [await framesOf(a), await framesOf(b)];
  const names = (frames) => JSON.stringify(frames.map(([frame, group, tp, , fn]) => [frame, group, tp + fn]));
  const [first] = ofA;
  if (![...ofA, ...ofB].every((frames) => names(frames) === names(first))) return { why: "different test frames" };
  if (sectionOf(a) !== sectionOf(b)) return { why: "different rules or data" };
  const mean = (runs, i) => total(runs.map((frames) => frames[i].slice(2))).map((count) => count / seeds.length);
  return { seeds, frames: first.map(([frame, group], i) => ({ frame, group, a: mean(ofA, i), b: mean(ofB, i) })) };
}

/** The counts of the slides, or of the frames where there are fewer than five slides: a list for each of two rows. */
function units(frames) {
  const bySlide = new Set(frames.map(({ group }) => group)).size >= MIN_SLIDES;
  const parts = {};
  for (const frame of frames) (parts[`${bySlide ? frame.group : frame.frame} `] ??= []).push(frame);
  const counts = (row) => Object.values(parts).map((part) => total(part.map((frame) => frame[row])));
  return { kind: bySlide ? "slides" : "frames", a: counts("a"), b: counts("b") };
}

// ---------------------------------------------------------------------------------------------- what is shown of it

/** Open the comparison of two rows, which have these ids. */
function openComparison(ids) {
  const rows = page.sections.flatMap((section) => section.rows.filter((row) => row.seeds.length));
  for (const [place, name] of ["first", "second"].entries()) {
    const groups = page.sections.map((section) => {
      const scored = rows.filter((row) => section.rows.includes(row));
      const options = scored.map((row) => element("option", { value: row.records[0].id }, label(row)));
      return element("optgroup", { label: section.title }, ...options);
    });
    byId(name).replaceChildren(...groups);
    byId(name).value = rowOf(ids[place]).records[0].id;
  }
  showComparison();
  if (!byId("comparison").open) byId("comparison").showModal();
}

/** The two rows to compare first: those chosen in the table, the best of it where fewer are chosen. */
function firstPair() {
  const rows = shownRows().filter((row) => row.seeds?.length);
  const chosen = rows.filter((row) => state.chosen.has(row));
  const pair = [...new Set([...chosen, ...rows, ...state.section.rows.filter((row) => row.seeds.length)])].slice(0, 2);
  return [pair[0], pair[1] ?? pair[0]].map((row) => row?.records[0].id);
}

async function showComparison() {
  const ids = [byId("first").value, byId("second").value];
  const [a, b] = ids.map(rowOf);
  state.compared = ids;
  writeAddress();
  const paired = await pairedFrames(a, b);
  byId("comparison-body").replaceChildren(
    ...(paired.why
      ? [element("p", { class: "bad" }, `Not comparable: ${paired.why}.`), wide(factsTable(a, b, {}))]
      : differenceParts(a, b, paired)),
  );
}

function differenceParts(a, b, { frames, seeds }) {
  const counts = units(frames);
  const found = Object.entries(RATIOS).map(([name, ratio]) => [name, pairedDifference(counts.a, counts.b, ratio)]);
  const differences = Object.fromEntries(found);
  const over = `over ${counts.a.length} ${counts.kind}, seed${seeds.length > 1 ? "s" : ""} ${seeds.join(" ")}`;
  return [
    element("p", { class: "verdict" }, verdict(a, b, differences.F1, over)),
    wide(factsTable(a, b, differences)),
    element("h3", {}, "Frames on which they differ most"),
    wide(framesApart(frames)),
  ];
}

function verdict(a, b, difference, over) {
  if (a === b) return "This is one row twice: choose another one.";
  if (!difference) return `F1 has no paired difference ${over}: it is undefined, or there is only one unit.`;
  const { delta, low, high } = difference;
  const shown = `F1 of A minus F1 of B: ${signed(delta)}, 95 % interval [${signed(low)}, ${signed(high)}], paired ${over}.`;
  const unsure = low <= 1e-9 && high >= -1e-9;
  return `${shown} ${unsure ? "It includes 0: these frames cannot tell which is better." : "It does not include 0."}`;
}

/** What both rows are and score, with the paired difference where there is one; parts that differ are bold. */
function factsTable(a, b, differences) {
  const words = (name, of) => [name, of(a), of(b), ""];
  const score = (name, key, digits = 3) => [name, number(a[key], digits), number(b[key], digits), gain(differences[name])];
  const kinds = Object.entries(sectionOf(a) === sectionOf(b) ? sectionOf(a).domains : {});
  const parts = [
    ...ROLES.map((role) => words(role, (row) => row.parts[role])),
    words("profile", (row) => row.profile),
    words("trained on", (row) => row.trained),
  ];
  const rows = [
    score("F1", "f1"),
    ["95 % interval of F1", interval(a), interval(b), ""],
    score("precision", "precision"),
    score("recall", "recall"),
    ...parts,
    score("oracle F1", "oracle"),
    score("AP", "ap"),
    score("detector alone", "alone"),
    ...kinds.flatMap(([kind, values]) =>
      values.map((name, place) => words(`F1, ${kind} ${name}`, (row) => number(row.domains[kind][place]))),
    ),
    words("count, bias per mm2", (row) => signed(row.bias, 1)),
    words("count, ICC", (row) => number(row.icc, 2)),
    score("s/frame", "seconds", 2),
    words("seeds", (row) => row.seeds.join(" ")),
  ];
  const table = numbersTable(["", "A", "B", "A − B, 95 % paired"], rows);
  table.classList.add("facts");
  for (const [place, row] of rows.entries())
    if (parts.includes(row) && row[1] !== row[2]) table.tBodies[0].rows[place].classList.add("differs");
  return table;
}

function gain(difference) {
  if (!difference) return "";
  return `${signed(difference.delta)} [${signed(difference.low)}, ${signed(difference.high)}]`;
}

function framesApart(frames) {
  const apart = ({ a, b }) => Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]);
  const shown = frames.filter(apart).sort((one, other) => apart(other) - apart(one)).slice(0, MAX_FRAMES);
  const count = (value) => (Number.isInteger(value) ? value : value.toFixed(1));
  const rows = shown.map(({ frame, group, a, b }) => [frame, group, ...[0, 1, 2].flatMap((k) => [count(a[k]), count(b[k])])]);
  return numbersTable(["frame", "slide", "TP of A", "of B", "FP of A", "of B", "FN of A", "of B"], rows);
}
