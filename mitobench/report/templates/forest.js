"use strict";
// F1 of the rows that the table shows, each as a dot on the line of its interval: a forest plot, made of plain elements.

const FOREST_STEPS = [0.02, 0.05, 0.1, 0.2]; // between ticks
const MAX_TICKS = 7;

function renderForest(rows) {
  const scored = rows.filter((row) => row.f1 != null);
  const scale = forestScale(scored);
  byId("forest").replaceChildren(...scored.map((row) => forestRow(row, scale)), forestAxis(scale));
  byId("forest").closest("figure").hidden = !scored.length;
}

/** The ends of the axis and its ticks, which enclose all intervals. */
function forestScale(rows) {
  const ends = rows.flatMap((row) => [row.low ?? row.f1, row.high ?? row.f1]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const rounded = (step) => [Math.floor(low / step + 1e-9), Math.max(Math.ceil(high / step - 1e-9), Math.floor(low / step) + 1)];
  const step = FOREST_STEPS.find((size) => rounded(size)[1] - rounded(size)[0] < MAX_TICKS) ?? FOREST_STEPS.at(-1);
  const [first, last] = rounded(step);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const share = (value) => (100 * (value - ticks[0])) / (ticks.at(-1) - ticks[0]);
  return { ticks, share };
}

function forestRow(row, { ticks, share }) {
  const track = element("span", { class: "track", "aria-hidden": "true" });
  const mark = (kind, left, width) => {
    const made = element("i", { class: kind });
    made.style.left = `${left}%`;
    if (width != null) made.style.width = `${width}%`;
    track.append(made);
  };
  for (const tick of ticks) mark("tick", share(tick));
  if (row.low != null) mark("interval", share(row.low), share(row.high) - share(row.low));
  mark("dot", share(row.f1));
  const name = row.published ? element("i", {}, `${row.title} (published)`) : label(row);
  const value = element("span", { class: "value" }, `${number(row.f1)} `, small(interval(row)));
  const kind = row.published ? "published-row" : "";
  return element("li", { class: kind, title: hoverText(row) }, element("span", { class: "name" }, name), track, value);
}

const hoverText = (row) => (row.published ? hoverPublished(row) : hover(row));

function forestAxis({ ticks, share }) {
  const track = element("span", { class: "track" });
  for (const tick of ticks) {
    const text = element("b", {}, tick.toFixed(ticks[1] - ticks[0] < 0.1 ? 2 : 1).replace(/^0/, ""));
    text.style.left = `${share(tick)}%`;
    track.append(text);
  }
  return element("li", { class: "axis", "aria-hidden": "true" }, element("span", { class: "name" }, "F1"), track, element("span", { class: "value" }));
}
