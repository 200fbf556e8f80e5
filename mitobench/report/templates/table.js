"use strict";
// The table of a section: filters, columns, order and pages, and its published numbers.

/** Published numbers in the shape of rows: they have neither rank nor records, and pass no filter on parts. */
function publishedRows(section) {
  return (section.publishedRows ??= section.published.map((method) => ({
    ...method,
    title: method.name,
    description: "published, not measured here",
    label: method.name,
    published: true,
    rank: null,
    parts: {},
    records: [],
  })));
}

function compare(a, b) {
  const column = columnsOf(state.section).find(({ key }) => key === state.column);
  const [x, y] = [column.value(a), column.value(b)];
  if (x == null || y == null) return (x == null) - (y == null); // rows without a value are last in both directions
  return (x < y ? -1 : x > y ? 1 : 0) * (state.descending ? -1 : 1);
}

function searchText(row) {
  const { label, parts, trained, profile, description, note } = row;
  return [label, ...Object.values(parts), trained, profile, description, note].join(" ").toLowerCase();
}

function passes(row, words) {
  const hasParts = Object.entries(state.roles).every(([role, name]) => !name || row.parts[role] === name);
  return hasParts && words.every((word) => (row.words ??= searchText(row)).includes(word));
}

const searchWords = () => state.text.toLowerCase().split(/\s+/).filter(Boolean);

/** The measured rows that pass the filters, best first. */
function filteredRows() {
  const words = searchWords();
  return state.section.rows.filter((row) => passes(row, words));
}

/** The published numbers that pass the filters; none where they are hidden. */
function filteredPublished() {
  const words = searchWords();
  return state.published ? publishedRows(state.section).filter((row) => passes(row, words)) : [];
}

const shownRows = () => [...filteredRows(), ...filteredPublished()].sort(compare);

function tableRow(row) {
  const cells = shownColumns().map((column) =>
    element("td", { role: "cell", "data-key": column.key, "data-title": column.title }, ...cellOf(column, row)),
  );
  const kind = row.published ? "published-row" : state.chosen.has(row) ? "chosen" : "";
  const made = element("tr", { role: "row", class: kind }, drawCell(row), ...cells);
  made.row = row;
  return made;
}

/** What a cell shows; of a published number, nothing where nothing was published. */
function cellOf(column, row) {
  return row.published && !column.always && column.value(row) == null ? [] : column.cell(row);
}

function drawCell(row) {
  if (row.published) return element("td", { role: "cell", class: "draw" });
  const draw = element("input", {
    type: "checkbox",
    "aria-label": `choose ${row.title}, rank ${row.rank ?? "none"}, to draw its curves and to compare it`,
    onchange: (event) => choose(row, event.target.checked),
  });
  draw.checked = state.chosen.has(row);
  return element("td", { role: "cell", class: "draw" }, draw);
}

function choose(row, wanted) {
  state.chosen[wanted ? "add" : "delete"](row);
  const line = [...byId("table").tBodies[0].rows].find((candidate) => candidate.row === row);
  line.className = wanted ? "chosen" : "";
  writeAddress();
  drawPlots();
}

function headCell(column) {
  const sorted = state.column === column.key ? (state.descending ? "descending" : "ascending") : null;
  const sort = element("button", { type: "button", title: column.help, onclick: () => sortBy(column) }, column.title);
  return element(
    "th",
    { scope: "col", role: "columnheader", "data-key": column.key, "aria-sort": sorted },
    sort,
  );
}

function renderHead() {
  const draw = element("abbr", { title: "choose rows to draw their curves and to compare them" }, "✓");
  const first = element("th", { scope: "col", role: "columnheader", class: "draw" }, draw);
  const focused = document.activeElement.closest?.("th")?.dataset.key;
  byId("head").replaceChildren(first, ...shownColumns().map(headCell));
  if (focused) byId("head").querySelector(`[data-key="${CSS.escape(focused)}"] button`)?.focus();
}

function renderTable() {
  const rows = shownRows();
  const n_pages = Math.max(1, Math.ceil(rows.length / ROWS_A_PAGE));
  state.page = Math.min(state.page, n_pages - 1);
  const first = state.page * ROWS_A_PAGE;
  const visible = state.printing ? rows : rows.slice(first, first + ROWS_A_PAGE);
  renderHead();
  byId("table").tBodies[0].replaceChildren(...visible.map(tableRow));
  renderForest(visible);
  document.querySelector(".plots").hidden = !rows.length;
  fitTable();
  byId("count").textContent = countText(rows);
  byId("nothing").hidden = rows.length > 0;
  byId("nothing-text").textContent = `No row matches ${state.text ? `“${state.text}”` : "these filters"}.`;
  byId("pages").hidden = n_pages === 1;
  byId("page").textContent = `Page ${state.page + 1} of ${n_pages}`;
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page === n_pages - 1;
}

/** Let the table scroll sideways where it is wider than the page; its head does not stay in view then. */
function fitTable() {
  const box = byId("table-box");
  box.classList.remove("too-wide");
  box.classList.toggle("too-wide", byId("table").offsetWidth > box.clientWidth);
}

function countText(rows) {
  const published = rows.filter((row) => row.published).length;
  const measured = `${rows.length - published} of ${state.section.rows.length} rows`;
  return published ? `${measured}, ${published} published` : measured;
}

function turnTo(page) {
  state.page = page;
  renderTable();
  writeAddress();
  byId("ranking").scrollIntoView();
}

function renderSection() {
  const section = state.section;
  const items = (texts) => texts.map((text) => element("li", {}, text));
  if (byId("section")) byId("section").value = String(page.sections.indexOf(section));
  byId("search").value = state.text;
  byId("title").textContent = section.title;
  byId("answers").replaceChildren(
    ...section.answers.map(([lead, text]) => element("p", {}, element("b", {}, lead), ` ${text}`)),
  );
  byId("measured").textContent = section.measured;
  byId("shared").textContent = section.shared && `All rows: ${section.shared}.`;
  byId("notes").replaceChildren(...items(section.notes));
  byId("roles").replaceChildren(...ROLES.map(roleFilter));
  byId("columns").replaceChildren(...columnsOf(section).filter((column) => !column.always).map(columnChoice));
  byId("show-published").checked = state.published;
  byId("compare-chosen").hidden = section.rows.filter((row) => row.seeds.length).length < 2;
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
        filterAgain();
      },
    },
    element("option", { value: "" }, "any"),
    ...names.map((name) => element("option", { value: name }, name)),
  );
  choice.value = names.includes(state.roles[role]) ? state.roles[role] : "";
  state.roles[role] = choice.value;
  return element("label", {}, role, choice);
}

function columnChoice(column) {
  const choice = element("input", {
    type: "checkbox",
    "data-column": column.key,
    onchange: () => {
      state.columns[choice.checked ? "add" : "delete"](column.key);
      renderTable();
      writeAddress();
    },
  });
  choice.checked = state.columns.has(column.key);
  return element("label", { title: column.help }, choice, column.title);
}

/** Show the rows that pass the filters now, from the first page. */
function filterAgain() {
  state.page = 0;
  renderTable();
  writeAddress();
  drawPlots();
}

function clearFilters() {
  Object.assign(state, { text: "", roles: {} });
  renderSection();
  filterAgain();
  byId("search").focus();
}

function sortBy(column) {
  const bestIsFirst = column.bestIsHigh ?? false;
  state.descending = state.column === column.key ? !state.descending : bestIsFirst;
  state.column = column.key;
  filterAgain();
}
