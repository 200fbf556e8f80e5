"use strict";
// Starts the page, listens to the reader, and draws the plots: once they come into view or are printed, and again when
// the data that they show or the colours change.

const PLOTS = { plane, time, pr, froc };

const begun = new Set(); // figures that were drawn, or are being drawn

async function draw(figure) {
  begun.add(figure);
  const drawing = (figure.drawing = Symbol());
  await loadCharts();
  useColours();
  const chart = await PLOTS[figure.dataset.plot](figure);
  if (figure.drawing !== drawing) return; // a later one was begun meanwhile
  drawChart(figure, chart);
  figure.classList.add("drawn");
}

function drawPlots() {
  [...begun].forEach(draw);
}

const plots = () => [...document.querySelectorAll("figure[data-plot]")];

function drawRest() {
  plots().filter((figure) => !begun.has(figure)).forEach(draw);
}

function watchPlots() {
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
        watcher.unobserve(target);
        if (!begun.has(target)) draw(target);
      }
    },
    { rootMargin: "200px" },
  );
  plots().forEach((figure) => watcher.observe(figure));
  new ResizeObserver(fitTable).observe(byId("table-box"));
  for (const media of ["(prefers-color-scheme: dark)", "print"])
    matchMedia(media).addEventListener("change", () => drawPlots());
}

/** Run something when its caller has been quiet for a moment. */
function soon(run, wait = 150) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(run, wait);
  };
}

function listen() {
  byId("section")?.addEventListener("change", (event) => {
    enterSection(page.sections[Number(event.target.value)]);
    renderSection();
    writeAddress();
    drawPlots();
  });
  const drawSoon = soon(drawPlots);
  const writeSoon = soon(writeAddress);
  byId("search").addEventListener("input", (event) => {
    Object.assign(state, { text: event.target.value, page: 0 });
    renderTable();
    writeSoon();
    drawSoon();
  });
  byId("show-published").addEventListener("change", (event) => {
    state.published = event.target.checked;
    filterAgain();
  });
  byId("clear").addEventListener("click", clearFilters);
  byId("previous").addEventListener("click", () => turnTo(state.page - 1));
  byId("next").addEventListener("click", () => turnTo(state.page + 1));
  byId("compare-chosen").addEventListener("click", () => openComparison(firstPair()));
  for (const name of ["first", "second"]) byId(name).addEventListener("change", showComparison);
  for (const button of document.querySelectorAll("[data-download]"))
    button.addEventListener("click", () => download(button.dataset.download));
  byId("table").tBodies[0].addEventListener("click", (event) => {
    const line = event.target.closest("tr");
    const selecting = getSelection().toString() && !event.target.closest("button");
    if (line && !event.target.closest(".draw") && !selecting) openRow(line.row);
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      state[dialog.id === "record" ? "record" : "compared"] = null;
      writeAddress();
    });
  }
  addEventListener("hashchange", showAddress);
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
}

/**
 * The whole table and all plots in print, and one page of the table again. A browser prints what is there when this has
 * returned and nothing is left to do at once, so `start` loads beforehand what a plot waits for.
 */
function printing(begins) {
  state.printing = begins;
  renderTable();
  if (begins) drawRest();
}

/** Show what the address says. */
function showAddress() {
  readAddress();
  const { record, compared } = state;
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  renderSection();
  drawPlots();
  if (record) openRow(rowOf(record), record);
  if (compared) openComparison(compared);
}

async function start() {
  page = JSON.parse(await unpacked("page-data"));
  if (!page.sections.length) return;
  listen();
  showAddress();
  watchPlots();
  document.documentElement.dataset.ready = Math.round(performance.now());
  await Promise.all([loadCharts(), page.chunk || curves()]);
}

start();
