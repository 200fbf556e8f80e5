"use strict";
// What opens with a row: one record at a time, with a chooser where the row has several seeds.

/** Open a row: the record of this id, or its first one; of a published number, what is known of it. */
async function openRow(row, id) {
  const which = row.records.find((record) => record.id === id) ?? row.records[0];
  byId("record-title").textContent = row.label;
  if (row.published) byId("record-body").replaceChildren(publishedFacts(row));
  else await showRecord(row, which);
  if (!byId("record").open) byId("record").showModal();
  byId("record").scrollTop = 0;
}

function publishedFacts(method) {
  const { precision, recall, f1, seconds, hits, note, source } = method;
  const facts = { precision: number(precision), recall: number(recall), F1: number(f1), "s/frame": number(seconds, 2) };
  return list({ ...facts, hits, note: note || "none", source, measured: "published, not measured here" });
}

async function showRecord(row, which) {
  const record = await recordOf(which.number);
  state.record = which.id;
  writeAddress();
  if (!record) {
    byId("record-body").replaceChildren(element("p", { class: "bad" }, "Its details are in the folder details/, which is not beside this page."));
    return;
  }
  const section = sectionOf(row);
  const remarks = row.notes.map((place) => section.footnotes[place - 1]);
  const notes = [...new Set([...remarks, ...record.notes])];
  byId("record-body").replaceChildren(
    ...[
      seedChooser(row, which),
      record.reason ? element("p", { class: "bad" }, `FAILED: ${record.reason}`) : null,
      ...part("Scores", record.scores.length ? wide(scoresTable(record.scores)) : null),
      ...part("The count: mitoses per mm2 over cases", list(record.count)),
      ...part("F1 by domain", record.domains.length ? element("div", {}, ...record.domains.map(domainDetails)) : null),
      ...part("What the annotators say about the errors", list(record.annotators)),
      ...part("Chosen on validation", list(record.chosen)),
      ...part("Commands", commands(record.commands)),
      ...part("Notes", notes.length ? element("ul", {}, ...notes.map((note) => element("li", {}, note))) : null),
      ...part(
        "Options",
        element("div", {}, ...record.plugins.map(pluginDetails), folded("pipeline", list(record.pipeline))),
      ),
      ...part(
        "Provenance",
        element("div", {}, ...Object.entries(provenance(record)).map(([name, facts]) => folded(name, facts))),
      ),
      ...part(
        "Counts of each test frame",
        record.frames.length ? folded(`${record.frames.length} frames`, wide(framesTable(record.frames))) : null,
      ),
      ...part(record.files.length > 1 ? "The records of its folds" : "The record itself", fileLinks(record)),
    ].filter(Boolean),
  );
}

function seedChooser(row, which) {
  if (row.records.length === 1) return element("p", { class: "small" }, `seed ${which.seed}`);
  const choice = element(
    "select",
    { id: "seed", onchange: () => showRecordAgain(row, row.records[Number(choice.value)]) },
    ...row.records.map((record, i) => element("option", { value: i, selected: record === which }, `${record.seed}`)),
  );
  return element(
    "p",
    { class: "chooser" },
    element("label", { for: "seed" }, `Seed (${row.records.length} records)`),
    choice,
  );
}

async function showRecordAgain(row, which) {
  await showRecord(row, which);
  byId("seed").focus();
}

function part(title, content) {
  return content ? [element("h3", {}, title), content] : [];
}

/** The commands of a record, with the reader's folder of data sets in place of DATA where one is given. */
function commands(made) {
  const box = element("div", {});
  const show = () => box.replaceChildren(...made.flatMap(([title, words]) => command(title, words)));
  show();
  if (!made.some(([, words]) => words.includes("DATA"))) return box;
  const folder = element("input", {
    id: "data-folder",
    value: state.data ?? "",
    placeholder: "DATA",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => {
      state.data = folder.value;
      show();
    },
  });
  return element("div", {}, element("label", { class: "chooser" }, "Your folder of data sets", folder), box);
}

function command(title, words) {
  const text = words.map((word) => shellQuoted(here(word))).join(" ");
  const copy = element("button", { type: "button", class: "copy", "aria-label": `Copy: ${title}` }, "Copy");
  const shown = element("pre", {}, text);
  copy.addEventListener("click", () => copyText(text, shown, copy));
  return [element("div", { class: "command" }, element("span", { class: "small" }, title), copy), shown];
}

/** A word of a command as it works here: the folder of data sets, and the path of a record beside this page. */
function here(word) {
  if (word === "DATA") return state.data?.trim() || word;
  if (location.protocol !== "file:" || !word.startsWith("records/")) return word;
  const folder = decodeURIComponent(location.pathname).replace(/[^/]*$/, "");
  return folder.replace(/^\/(?=[A-Za-z]:\/)/, "") + word; // Windows: /C:/...
}

/** A word as a shell reads it back, `~/` kept. */
function shellQuoted(word) {
  if (/^[\w@%+=:,./-]+$/.test(word) || /^~\/[\w@%+=:,./-]*$/.test(word)) return word;
  return `'${word.replaceAll("'", `'"'"'`)}'`;
}

async function copyText(text, shown, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(shown); // where the browser does not allow it, the old way
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

function folded(title, content) {
  return content ? element("details", {}, element("summary", {}, title), content) : "";
}

function wide(table) {
  return element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "table" }, table);
}

function spelled(value) {
  if (value == null) return "none";
  if (Array.isArray(value)) return value.length ? value.map(spelled).join(", ") : "none";
  if (typeof value !== "object") return String(value);
  return (
    Object.entries(value)
      .map(([name, inner]) => `${name}: ${spelled(inner)}`)
      .join("; ") || "none"
  );
}

function list(facts) {
  const entries = Object.entries(facts);
  return entries.length
    ? element(
        "dl",
        {},
        ...entries.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, spelled(value))]),
      )
    : null;
}

function pluginDetails(plugin) {
  return folded(
    `${plugin.role}: ${plugin.name}, version ${plugin.version}`,
    list(plugin.options) ?? element("p", { class: "small" }, "no options"),
  );
}

function provenance(record) {
  const facts = Object.entries(record.provenance).map(([name, value]) => [
    name,
    list(typeof value === "object" ? value : { [name]: value }),
  ]);
  return { ...Object.fromEntries(facts), "reported by each fit": list(record.trainingInfo) };
}

function fileLinks(record) {
  return element("div", {}, ...record.files.map(fileLink));
}

function fileLink(file) {
  const path = ["records", ...file.split("/")].map(encodeURIComponent).join("/");
  return element("p", {}, element("a", { href: path }, file));
}

function numbersTable(head, rows) {
  return element(
    "table",
    { class: "numbers" },
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element(
      "tbody",
      {},
      ...rows.map((row) => element("tr", {}, ...row.map((text) => element("td", {}, String(text))))),
    ),
  );
}

function scoresTable(scores) {
  const value = (rate) => rate.split("/").reduce((part, whole) => part / whole); // of "1/8"
  const rates = Object.keys(scores.at(-1).froc).sort((a, b) => value(a) - value(b));
  const head = ["", "P", "R", "F1", "oracle F1", "AP", "recall ceiling", ...rates.map((rate) => `at ${rate} FP/frame`)];
  return numbersTable(
    head,
    scores.map((s) => [
      s.of,
      ...[
        s.precision,
        s.recall,
        s.f1,
        s.oracle_f1,
        s.average_precision,
        s.recall_ceiling,
        ...rates.map((r) => s.froc[r]),
      ].map((v) => number(v)),
    ]),
  );
}

function domainDetails(domain) {
  const rows = domain.values.map(([name, mitoses, f1, fp]) => [name, mitoses, number(f1), number(fp, 2)]);
  const title = `by ${domain.kind}: mean ${number(domain.mean)}, worst ${domain.worst ?? "none"}`;
  return folded(title, wide(numbersTable([domain.kind, "mitoses", "F1", "FP/mm2"], rows)));
}

function framesTable(frames) {
  const sum = (column) => frames.reduce((total, frame) => total + frame[column], 0);
  return numbersTable(["frame", "slide", "TP", "FP", "FN"], [...frames, ["all", "", sum(2), sum(3), sum(4)]]);
}
