"use strict";
// What the reader has chosen: section, filters, columns, order, page of the table, what is open. All of it is in the
// part of the address after `#`, so that a link shows the same. Whatever the address says is checked before it is used.

const ROLES = ["estimator", "detector", "verifier", "fuser"];
const CURVES_AT_FIRST = 3;
const ROWS_A_PAGE = 25;

const state = {
  section: null,
  text: "",
  roles: {},
  published: true, // whether published numbers are among the rows
  columns: new Set(), // keys of the columns that are shown
  column: "rank", // that the rows are sorted by
  descending: false,
  page: 0,
  chosen: new Set(), // rows whose curves are drawn
  record: null, // the id of the open record
  compared: null, // the ids of the two rows that are compared
  printing: false,
};

/** The rows whose curves are drawn at first. */
const bestRows = (section) => section.rows.filter((row) => row.rank != null).slice(0, CURVES_AT_FIRST);

/** Show a section as at first: everything except what no other section has is reset. */
function enterSection(section) {
  const columns = new Set(columnsOf(section).filter((column) => column.atFirst).map((column) => column.key));
  Object.assign(state, { section, text: "", roles: {}, published: true, columns, chosen: new Set(bestRows(section)) });
  Object.assign(state, { column: "rank", descending: false, page: 0, record: null, compared: null });
}

/** What differs from the section as at first, as the end of an address. */
function addressEnd() {
  const words = new URLSearchParams({ section: state.section.name });
  const put = (name, value) => value && words.set(name, value);
  put("search", state.text);
  for (const role of ROLES) put(role, state.roles[role]);
  put("published", state.published ? "" : "no");
  const all = columnsOf(state.section).filter((column) => !column.always);
  if (all.some((column) => column.atFirst !== state.columns.has(column.key))) {
    const shown = all.filter((column) => state.columns.has(column.key));
    for (const column of shown) words.append("column", column.key);
    if (!shown.length) words.set("column", "");
  }
  if (state.column !== "rank" || state.descending) words.set("sort", (state.descending ? "-" : "") + state.column);
  put("page", state.page ? String(state.page + 1) : "");
  const best = bestRows(state.section);
  if (state.chosen.size !== best.length || !best.every((row) => state.chosen.has(row)))
    words.set("curves", [...state.chosen].map((row) => row.records[0].id).join(" "));
  put("compare", state.compared?.join(" "));
  put("record", state.record);
  return words.toString();
}

function writeAddress() {
  history.replaceState(null, "", `#${addressEnd()}`);
}

/** Set the state to what the address says; without a word about it, to a section as at first. */
function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const name = words.get("section");
  enterSection(page.sections.find((section) => section.name === name) ?? page.sections[0]);
  state.text = words.get("search") ?? "";
  for (const role of ROLES) if (words.get(role)) state.roles[role] = words.get(role);
  state.published = words.get("published") !== "no";
  const columns = columnsOf(state.section);
  if (words.has("column")) {
    const named = words.getAll("column");
    const shown = columns.filter((column) => column.always || named.includes(column.key));
    state.columns = new Set(shown.map((column) => column.key));
  }
  const sort = words.get("sort") ?? "";
  const key = sort.replace(/^-/, "");
  if (columns.some((column) => column.key === key)) Object.assign(state, { column: key, descending: key !== sort });
  state.page = Math.max(0, Math.floor(Number(words.get("page")) || 1) - 1);
  if (words.has("curves")) {
    const named = words.get("curves").split(" ").map(rowOf);
    state.chosen = new Set(named.filter((row) => state.section.rows.includes(row)));
  }
  const ids = (words.get("compare") ?? "").split(" ").filter(rowOf);
  state.compared = ids.length === 2 ? ids : null;
  state.record = rowOf(words.get("record")) ? words.get("record") : null;
}

/** The row that has a record of this id, in any section. */
function rowOf(id) {
  const has = (row) => row.records.some((record) => record.id === id);
  for (const section of page.sections) {
    const found = section.rows.find(has);
    if (found) return found;
  }
  return null;
}

const sectionOf = (row) => page.sections.find((section) => section.rows.includes(row));
