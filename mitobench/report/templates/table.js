"use strict";
// The table of a section, its filters and its published numbers.

function sortValue(row) {
  const value = row[state.column];
  if (state.column === "title") return value.toLowerCase();
  if (state.column === "rankRange") return row.rank;
  return state.column === "seeds" ? value.length : value;
}

function compare(a, b) {
  const [x, y] = [sortValue(a), sortValue(b)];
  if (x == null || y == null) return (x == null) - (y == null); // rows without a value are last in both directions
  return (x < y ? -1 : x > y ? 1 : 0) * (state.descending ? -1 : 1);
}

function searchText(row) {
  return [row.label, ...Object.values(row.parts), row.trained, row.profile, row.description].join(" ").toLowerCase();
}

/** The rows that pass the filters, best first. */
function filteredRows() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const roles = Object.entries(state.roles).filter(([, name]) => name !== "");
  return state.section.rows
    .filter((row) => roles.every(([role, name]) => row.parts[role] === name))
    .filter((row) => words.every((word) => (row.words ??= searchText(row)).includes(word)));
}

const shownRows = () => filteredRows().sort(compare);

function rankMark(row) {
  const marked = row.tied && state.section.rows.filter((other) => other.tied).length > 1;
  return marked ? element("span", { title: "not distinguishable from the best" }, " ≈") : null;
}

function titleCell(row) {
  const small = row.notes ? `${row.description} · notes ${row.notes}` : row.description;
  const swatch = element("span", { class: `swatch ${row.style.symbol}`, "aria-hidden": "true" });
  swatch.style.background = row.style.colour;
  const open = element("button", { type: "button", class: "open", "aria-haspopup": "dialog" }, swatch, row.title);
  return [open, element("span", { class: "small" }, small)];
}

function seedsCell(row) {
  const bad = [
    row.failed.length ? `FAILED ${row.failed.join(" ")}` : "",
    row.missing.length ? `missing ${row.missing.join(" ")}` : "",
  ];
  return [row.seeds.join(" "), ...bad.filter(Boolean).map((text) => element("span", { class: "bad" }, ` ${text}`))];
}

function f1Cell(row) {
  if (!row.seeds.length) return [element("span", { class: "bad" }, row.f1Shown)];
  const [mean, ...more] = row.f1Shown.split(" ");
  const spread = row.seedSpread ? `seeds ${number(row.seedSpread[0])}–${number(row.seedSpread[1])}` : "";
  return [
    mean,
    element("span", {}, ` ${more.join(" ")}`),
    spread ? element("span", { class: "small" }, spread) : null,
  ];
}

const CELLS = {
  rank: (row) => [row.rank == null ? "–" : String(row.rank), rankMark(row)],
  rankRange: (row) => [row.rankRange],
  title: titleCell,
  f1: f1Cell,
  seconds: (row) => [number(row.seconds, 2)],
  seeds: seedsCell,
};

function tableRow(row) {
  const draw = element("input", {
    type: "checkbox",
    "aria-label": `draw the curves of ${row.title}, rank ${row.rank ?? "none"}`,
    onchange: (event) => {
      choose(row, event.target.checked);
    },
  });
  draw.checked = state.chosen.has(row);
  const cells = Object.entries(COLUMNS).map(([key, title]) =>
    element(
      "td",
      { role: "cell", "data-key": key, "data-title": title },
      ...(CELLS[key] ?? ((r) => [number(r[key])]))(row),
    ),
  );
  const made = element(
    "tr",
    { role: "row", class: state.chosen.has(row) ? "chosen" : "" },
    element("td", { role: "cell", class: "draw", "data-title": "curve" }, draw),
    ...cells,
  );
  made.row = row;
  return made;
}

function choose(row, wanted) {
  state.chosen[wanted ? "add" : "delete"](row);
  const line = [...byId("table").tBodies[0].rows].find((candidate) => candidate.row === row);
  line.className = wanted ? "chosen" : "";
  drawPlots();
}

function renderTable() {
  const rows = shownRows();
  const visible = state.all ? rows : rows.slice(0, FIRST_ROWS);
  byId("table").tBodies[0].replaceChildren(...visible.map(tableRow));
  byId("count").textContent = `${rows.length} of ${state.section.rows.length} rows`;
  byId("more").hidden = visible.length === rows.length;
  byId("more").textContent = `Show all ${rows.length} rows`;
  for (const head of document.querySelectorAll("#table th[data-key]")) {
    if (head.dataset.key === state.column)
      head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function renderSection() {
  const section = state.section;
  const items = (texts) => texts.map((text) => element("li", {}, text));
  state.chosen = new Set(section.rows.filter((row) => row.rank != null).slice(0, CURVES_AT_FIRST));
  Object.assign(state, { column: "rank", descending: false, text: "", roles: {}, all: false });
  byId("search").value = "";
  byId("title").textContent = section.title;
  byId("measured").textContent = section.measured;
  byId("notes").replaceChildren(...items(section.notes));
  byId("footnotes").replaceChildren(...items(section.footnotes));
  byId("footnotes").parentElement.hidden = !section.footnotes.length;
  byId("roles").replaceChildren(...Object.keys(section.rows[0].parts).map(roleFilter));
  for (const part of document.querySelectorAll(".published")) part.hidden = !section.published.length;
  byId("published-notes").replaceChildren(...items(section.publishedNotes));
  byId("published-table").replaceChildren(publishedTable(section.published));
  renderTable();
}

function publishedTable(methods) {
  const rows = [...methods]
    .sort((a, b) => b.f1 - a.f1)
    .map((m) => [
      m.name,
      number(m.precision),
      number(m.recall),
      number(m.f1),
      number(m.seconds, 2),
      m.hits,
      [m.note, m.source].filter(Boolean).join(" Source: "),
    ]);
  return numbersTable(["method", "P", "R", "F1", "s/frame", "hits", "note and source"], rows);
}

function roleFilter(role) {
  const names = [...new Set(state.section.rows.map((row) => row.parts[role]))].sort();
  const choice = element(
    "select",
    {
      "data-role": role,
      onchange: () => {
        state.roles[role] = choice.value;
        refresh();
      },
    },
    element("option", { value: "" }, "any"),
    ...names.map((name) => element("option", { value: name }, name)),
  );
  return element("label", {}, role, choice);
}

function refresh() {
  renderTable();
  drawPlots();
}

function sortBy(key) {
  state.descending = state.column === key ? !state.descending : BEST_FIRST.has(key);
  state.column = key;
  refresh();
}
