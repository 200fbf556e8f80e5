"use strict";
// What the other scripts share: the data, what the reader has chosen, and how text becomes elements. Text is written as
// text: nothing on this page turns data into markup.

const byId = (id) => document.getElementById(id);
const lazily = (make) => {
  let made;
  return () => (made ??= make());
};

/** The text of a block that is stored as gzip in base64. */
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

let page; // the rows of all sections, read in `start.js`
const records = lazily(async () => JSON.parse(await unpacked("record-data")));
const curves = lazily(async () => JSON.parse(await unpacked("curve-data")));

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== ""));
  return made;
}

function number(value, digits = 3) {
  return value == null ? "–" : value.toFixed(digits).replace(/^(-?)0\./, "$1.");
}

function interval(row) {
  return row.low == null ? "" : `[${number(row.low)}, ${number(row.high)}]`;
}

function signed(value, digits = 3) {
  if (value == null) return "–";
  return `${value < 0 && Number(value.toFixed(digits)) !== 0 ? "−" : "+"}${number(Math.abs(value), digits)}`;
}
