"use strict";
// What all plots of rows share: labels, hover texts, lines of equal F1, captions.

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

/** Lines of equal F1 in the plane of recall and precision, some with their names, above a lowest precision. */
function isoF1(lowest = 0) {
  const colour = css("--line");
  return [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9].map((f1) => {
    const least = f1 / (2 - f1);
    const recalls = [...Array(41).keys()].map((i) => least + (1 - least) * (i / 40) ** 2);
    const points = recalls.map((recall) => ({ x: recall, y: (f1 * recall) / (2 * recall - f1) }));
    const isNamed = [0.2, 0.4, 0.6, 0.8, 0.9].includes(f1) && least > lowest;
    if (isNamed) points.at(-1).text = `F1 ${number(f1, 1)}`;
    return line(points, colour, { borderWidth: 1, pointHitRadius: 0, muted: true });
  });
}

function caption(figure, texts) {
  figure.querySelector("figcaption").replaceChildren(...texts.map((text) => element("p", {}, text)));
}
