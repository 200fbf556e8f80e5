"use strict";
// What the other scripts share: the data, what the reader has chosen, and how text becomes elements. Text is written as
// text: nothing on this page turns data into markup.

const byId = (id) => document.getElementById(id);
const lazily = (make) => {
  let made;
  return () => (made ??= make());
};

/** The text that is stored as gzip in base64. */
async function unzipped(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

const unpacked = (id) => unzipped(byId(id).textContent);

let page; // the rows of all sections, read in `start.js`
const records = lazily(async () => JSON.parse(await unpacked("record-data")));
const curves = lazily(async () => JSON.parse(await unpacked("curve-data")));
const chunks = new Map(); // of the files in `details/` by their number, if the page has them
const taken = new Map();

/** The details of a record. */
async function recordOf(number) {
  return page.chunk ? (await chunkOf(number)).records[number % page.chunk] : (await records())[number];
}

/** The counts over thresholds of a record, or why there are none. */
async function curveOf(number) {
  return page.chunk ? (await chunkOf(number)).curves[number % page.chunk] : (await curves())[number];
}

function chunkOf(number) {
  const chunk = Math.floor(number / page.chunk);
  if (!chunks.has(chunk)) chunks.set(chunk, readChunk(chunk));
  return chunks.get(chunk);
}

/** A file of details calls this with its content: a page from a disk can read another file only as a script. */
function takeDetails(chunk, packed) {
  taken.set(chunk, packed);
}

async function readChunk(chunk) {
  await new Promise((resolve) => {
    const script = element("script", { src: `details/${chunk}.js`, onload: resolve, onerror: resolve });
    document.head.append(script);
  });
  if (taken.has(chunk)) return JSON.parse(await unzipped(taken.get(chunk)));
  const why = "details/ is not beside this page: copy the folder with it";
  return { records: Array(page.chunk).fill(null), curves: Array(page.chunk).fill({ why }) };
}

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
