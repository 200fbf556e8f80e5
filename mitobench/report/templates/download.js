"use strict";
// Downloads of what the table shows: the rows that pass the filters, in their order, with the columns that are shown.

/** The shown rows as objects, by the names of their columns. */
function shownAsObjects() {
  const one = (column, row) => column.download?.(row) ?? { [column.title]: column.value(row) };
  return shownRows().map((row) =>
    Object.assign({}, ...shownColumns().map((column) => blank(one(column, row)))),
  );
}

/** The same with null for what is undefined, which JSON would leave out. */
function blank(object) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, value ?? null]));
}

/** A cell of a CSV file. Text that a spreadsheet would run as a formula starts with an apostrophe. */
function csvCell(value) {
  if (value == null) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function asCsv(objects) {
  const names = [...new Set(objects.flatMap(Object.keys))];
  const lines = [names, ...objects.map((object) => names.map((name) => object[name]))];
  return lines.map((line) => `${line.map(csvCell).join(",")}\r\n`).join("");
}

function asJson(objects) {
  const { title, measured } = state.section;
  return `${JSON.stringify({ section: title, measured, shown: addressEnd(), rows: objects }, null, 1)}\n`;
}

function download(kind) {
  const text = kind === "csv" ? asCsv(shownAsObjects()) : asJson(shownAsObjects());
  const type = kind === "csv" ? "text/csv" : "application/json";
  const address = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  element("a", { href: address, download: `${state.section.name}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
