"use strict";
// What all plots of rows share: labels, axes of shares from 0 to 1, lines of equal F1, captions.

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Text in lines of so many letters, which break at spaces, and before its brackets where it needs two lines. */
function wrapped(text, letters) {
  const lines = [];
  for (const part of text.length > letters ? text.split(/ (?=\()/) : [text]) {
    lines.push("");
    for (const word of part.split(" ")) {
      const line = `${lines.at(-1)} ${word}`.trim();
      if (line.length > letters && lines.at(-1)) lines.push(word);
      else lines[lines.length - 1] = line;
    }
  }
  return lines.map((line) => shortened(line, letters));
}

function label(row) {
  return `${row.rank ?? "–"} · ${row.label}`;
}

function hover(row, ...facts) {
  const scores = [
    `P ${number(row.precision)}, R ${number(row.recall)}`,
    `F1 ${number(row.f1)} ${interval(row)}`,
  ];
  return [shortened(label(row), 200), ...scores, ...facts].join("\n");
}

function hoverPublished(method) {
  const numbers = `P ${number(method.precision)}, R ${number(method.recall)}, F1 ${number(method.f1)}`;
  return [shortened(method.name, 90), numbers, "published, not measured here"].join("\n");
}

/** An axis of a share, with ticks at whole steps. */
function share(title, low = 0, step = 0.2) {
  const n = Math.round((1 - low) / step);
  const ticks = [...Array(n + 1).keys()].map((i) => low + i * step);
  return { title, range: [low, 1.02], ticks: ticks.map((value) => ({ value, text: value.toFixed(1) })) };
}

/** Curves of equal F1 in the plane of recall and precision. */
function isoF1() {
  return [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9].map((f1) => {
    const least = f1 / (2 - f1);
    const x = [...Array(41).keys()].map((i) => least + (1 - least) * (i / 40) ** 2);
    return { x, y: x.map((recall) => (f1 * recall) / (2 * recall - f1)), width: 1 };
  });
}

function isoNames(least = 0) {
  return [0.2, 0.4, 0.6, 0.8, 0.9]
    .filter((f1) => f1 / (2 - f1) > least)
    .map((f1) => ({ x: 1, y: f1 / (2 - f1), text: `F1 ${number(f1, 1)}` }));
}

function caption(figure, texts) {
  figure.querySelector("figcaption").replaceChildren(...texts.map((text) => element("p", {}, text)));
}
