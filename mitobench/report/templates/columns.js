"use strict";
// The columns of the table: what each shows in a cell, sorts by, and writes into a download.

const small = (text) => (text ? element("span", { class: "small", title: text }, text) : null);

/** A column of numbers. `more` may replace any of its parts; `atFirst`: shown unless the reader chooses otherwise. */
function numbers(key, title, help, more = {}) {
  return {
    key,
    title,
    help,
    atFirst: true,
    bestIsHigh: true,
    value: (row) => row[key],
    cell: (row) => [number(row[key])],
    ...more,
  };
}

const FIXED_COLUMNS = [
  {
    key: "rank",
    title: "#",
    help: "rank by F1, above the ranks that the row could have on other slides; ≈ cannot be distinguished from the best",
    always: true,
    atFirst: true,
    value: (row) => (row.rank == null && !row.published ? null : -row.f1), // published numbers are between the ranks
    cell: (row) => [row.rank ?? (row.published ? "" : "–"), rankMark(row), small(row.rank && row.rankRange)],
    download: (row) => ({ rank: row.rank, "rank range": row.rank == null ? null : row.rankRange }),
  },
  {
    key: "title",
    title: "combination",
    help: "the parts; below, what is not the same in all rows",
    always: true,
    atFirst: true,
    value: (row) => row.title.toLowerCase(),
    cell: titleCell,
    download: (row) => ({
      combination: row.title,
      description: row.description,
      measured: row.published ? "published" : "here",
    }),
  },
  numbers("f1", "F1", "at the threshold chosen on validation, above its 95 % interval", {
    cell: f1Cell,
    download: (row) => ({ F1: row.f1, "F1 low": row.low, "F1 high": row.high }),
  }),
  numbers("precision", "P", "precision"),
  numbers("recall", "R", "recall"),
  numbers("oracle", "oracle F1", "F1 at the best threshold on the test frames, for comparison with published numbers"),
  numbers("alone", "detector alone", "F1 before verification", { atFirst: false }),
  numbers("ap", "AP", "average precision"),
];

const LAST_COLUMNS = [
  numbers("bias", "count, bias", "detected minus annotated mitoses per mm2, mean of cases", {
    atFirst: false,
    bestIsHigh: false,
    value: (row) => row.bias && Math.abs(row.bias),
    cell: (row) => [signed(row.bias, 1)],
    download: (row) => ({ "count bias per mm2": row.bias }),
  }),
  numbers("icc", "count, ICC", "agreement of detected and annotated counts of cases; 1 is perfect", {
    atFirst: false,
    cell: (row) => [number(row.icc, 2)],
  }),
  numbers("seconds", "s/frame", "seconds per test frame, on the machine named in each record", {
    bestIsHigh: false,
    cell: (row) => [number(row.seconds, 2)],
  }),
  numbers("seeds", "seeds", "random seeds with scores, of how many; FAILED and missing ones are in no mean", {
    value: (row) => row.seeds?.length,
    cell: seedsCell,
    download: (row) => ({ seeds: row.seeds?.join(" "), failed: row.failed?.join(" "), missing: row.missing?.join(" ") }),
  }),
];

/** All columns of a section, in their order: those of every section, and those of the domains of its test frames. */
function columnsOf(section) {
  return (section.columns ??= [...FIXED_COLUMNS, ...domainColumns(section), ...LAST_COLUMNS]);
}

function domainColumns(section) {
  const kinds = Object.entries(section.domains);
  if (!kinds.length) return [];
  const worst = numbers("worst", "worst domain", "the lowest F1 on the frames of one scanner, tumour type, ...", {
    value: (row) => row.worst?.[2],
    cell: (row) => (row.worst ? [number(row.worst[2]), small(row.worst.slice(0, 2).join(" "))] : ["–"]),
    download: (row) => ({ "worst domain": row.worst?.slice(0, 2).join(" "), "worst domain F1": row.worst?.[2] }),
  });
  const each = kinds.flatMap(([kind, values]) =>
    values.map((name, place) =>
      numbers(`${kind}:${name}`, `${kind} ${name}`, `F1 on the frames of ${kind} ${name}`, {
        atFirst: false,
        value: (row) => row.domains?.[kind][place],
        cell: (row) => [number(row.domains?.[kind][place])],
      }),
    ),
  );
  return [worst, ...each];
}

const shownColumns = () => columnsOf(state.section).filter((column) => state.columns.has(column.key));

function rankMark(row) {
  const marked = row.tied && state.section.rows.filter((other) => other.tied).length > 1;
  return marked ? element("span", { title: "not distinguishable from the best" }, " ≈") : null;
}

function titleCell(row) {
  const symbol = row.published ? page.star : row.style;
  const swatch = element("span", { class: `swatch ${symbol.symbol}`, "aria-hidden": "true" });
  swatch.style.background = symbol.colour;
  const name = row.published ? element("i", {}, `${row.title} (published)`) : row.title;
  const kind = row.published ? "open-published" : "open";
  const open = element("button", { type: "button", class: kind, "aria-haspopup": "dialog" }, swatch, name);
  return [open, row.published ? null : small(row.description)];
}

/** The number of seeds with scores, of how many: `3`, `2 of 3`, `FAILED`; which they are under the pointer. */
function seedsCell(row) {
  if (row.published) return [""];
  const named = { scored: row.seeds, FAILED: row.failed, missing: row.missing };
  const listed = Object.entries(named).filter(([, seeds]) => seeds.length);
  const expected = listed.reduce((n, [, seeds]) => n + seeds.length, 0);
  const text = expected > row.seeds.length ? `${row.seeds.length} of ${expected}` : String(row.seeds.length);
  const about = { title: listed.map(([name, seeds]) => `${name}: ${seeds.join(" ")}`).join("; ") };
  const failed = row.failed.length ? element("span", { class: "small bad" }, `${row.failed.length} FAILED`) : null;
  return [element("span", about, text), failed];
}

function f1Cell(row) {
  if (row.published) return [element("i", {}, number(row.f1))];
  if (!row.seeds.length) return [element("span", { class: "bad" }, row.f1Shown)];
  return [number(row.f1), small(interval(row))];
}
