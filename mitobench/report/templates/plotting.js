"use strict";
// What all plots share. Plotly makes markup of labels, so every text that it is given is escaped first.

const plotly = lazily(unpackPlotly);

async function unpackPlotly() {
  const packed = Uint8Array.from(atob(byId("plotly").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  return window.Plotly;
}

function escaped(text, most = 90) {
  const short = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** Text over lines of so many letters, which break at spaces, and before its brackets where it needs two. */
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
  return lines.map((line) => escaped(line, 60));
}

function label(row) {
  return `${row.rank ?? "–"} · ${row.label}`;
}

function hover(row, ...facts) {
  return [
    ...wrapped(label(row), 60),
    `P ${number(row.precision)}, R ${number(row.recall)}`,
    `F1 ${number(row.f1)} ${interval(row)}`,
    ...facts,
  ].join("<br>");
}

function hoverPublished(method) {
  const numbers = `P ${number(method.precision)}, R ${number(method.recall)}, F1 ${number(method.f1)}`;
  return [escaped(method.name), numbers, "published, not measured here"].join("<br>");
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    ["text", "muted", "line", "grid", "panel"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}

function layout(x, y, more = {}) {
  const { text, muted, grid, panel } = colours();
  const axis = { gridcolor: grid, linecolor: grid, zeroline: false, tickfont: { color: muted }, automargin: true };
  const font = getComputedStyle(document.body).fontFamily;
  return {
    paper_bgcolor: panel,
    plot_bgcolor: panel,
    font: { family: font, size: 13, color: text },
    margin: { l: 48, r: 16, t: 12, b: 48 },
    showlegend: false,
    hovermode: "closest",
    hoverlabel: { bgcolor: panel, bordercolor: muted, font: { family: font, color: text, size: 13 }, align: "left" },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: { ...axis, ...x },
    yaxis: { ...axis, ...y },
    ...more,
  };
}

const titled = (text) => ({ title: { text, font: { size: 13 } } });
const LEGEND = {
  showlegend: true,
  legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, font: { size: 12 } },
};

const RATIO = { range: [0, 1.02], tickformat: ".1f", dtick: 0.2 };

function isoF1() {
  const lines = {
    type: "scatter",
    mode: "lines",
    x: [],
    y: [],
    hoverinfo: "skip",
    showlegend: false,
    line: { color: colours().line, width: 1 },
  };
  for (let f1 = 0.1; f1 < 0.95; f1 += 0.1) {
    const least = f1 / (2 - f1);
    for (let i = 0; i <= 40; i += 1) {
      const recall = least + (1 - least) * (i / 40) ** 2;
      lines.x.push(recall);
      lines.y.push((f1 * recall) / (2 * recall - f1));
    }
    lines.x.push(null);
    lines.y.push(null);
  }
  return lines;
}

function isoLabels(least = 0) {
  return [0.2, 0.4, 0.6, 0.8, 0.9]
    .filter((f1) => f1 / (2 - f1) > least)
    .map((f1) => ({
      x: 1,
      y: f1 / (2 - f1),
      text: `F1 ${number(f1, 1)}`,
      showarrow: false,
      xanchor: "right",
      yanchor: "bottom",
      font: { size: 10, color: colours().muted },
    }));
}

function caption(figure, texts) {
  figure.querySelector("figcaption").replaceChildren(...texts.map((text) => element("p", {}, text)));
}
