"use strict";
// Plots are drawn when they first come into view, and again when the data that they show or the colours change.

const PLOTS = { plane, bars: barPlot, pr, froc, time };

const inView = new Set();

async function draw(figure) {
  const drawing = (figure.drawing = Symbol());
  await loadCharts();
  useColours();
  const chart = await PLOTS[figure.dataset.plot](figure);
  if (figure.drawing !== drawing) return; // a later one was begun meanwhile
  drawChart(figure, chart);
  figure.classList.add("drawn");
}

function drawPlots(names = Object.keys(PLOTS)) {
  for (const figure of inView) if (names.includes(figure.dataset.plot)) draw(figure);
}

function watchPlots() {
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
        watcher.unobserve(target);
        inView.add(target);
        draw(target);
      }
    },
    { rootMargin: "200px" },
  );
  document.querySelectorAll("figure[data-plot]").forEach((figure) => watcher.observe(figure));
  watchWidth(document.querySelector('[data-plot="bars"]'), () => drawPlots(["bars"])); // its names are wrapped anew
  for (const media of ["(prefers-color-scheme: dark)", "print"])
    matchMedia(media).addEventListener("change", () => drawPlots());
}

function watchWidth(watched, onChange) {
  let width;
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width !== width) onChange();
    width = contentRect.width;
  }).observe(watched);
}

function listen() {
  byId("section")?.addEventListener("change", (event) => {
    state.section = page.sections[Number(event.target.value)];
    renderSection();
    drawPlots();
  });
  byId("search").addEventListener("input", (event) => {
    state.text = event.target.value;
    refresh();
  });
  byId("more").addEventListener("click", () => {
    state.all = true;
    renderTable();
  });
  for (const head of document.querySelectorAll("#table th[data-key]")) {
    head.firstElementChild.addEventListener("click", () => sortBy(head.dataset.key));
  }
  byId("table").tBodies[0].addEventListener("click", (event) => {
    const line = event.target.closest("tr");
    const selecting = getSelection().toString() && !event.target.closest(".open");
    if (line && !event.target.closest(".draw") && !selecting) openRecord(line.row);
  });
  byId("close").addEventListener("click", () => byId("record").close());
}

if (state.section) {
  listen();
  renderSection();
  watchPlots();
  document.documentElement.dataset.ready = Math.round(performance.now());
}
