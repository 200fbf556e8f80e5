"use strict";
// Plots are drawn when they first come into view, and again when the data they show or their width changes.

const PLOTS = { plane, bars: barPlot, pr, froc, time };

const inView = new Set();

async function draw(figure) {
  const canvas = figure.querySelector(".canvas");
  const drawing = (figure.drawing = Symbol());
  const chart = await PLOTS[figure.dataset.plot](figure);
  if (figure.drawing !== drawing || !canvas.clientWidth) return; // a later one was begun meanwhile, or it is hidden
  drawChart(canvas, chart);
  figure.classList.add("drawn");
}

function drawPlots(names = Object.keys(PLOTS)) {
  for (const figure of inView) if (names.includes(figure.dataset.plot)) draw(figure);
}

function watchPlots() {
  const widths = new Map();
  const resized = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      if (widths.get(target) !== contentRect.width && widths.has(target)) draw(target.parentElement);
      widths.set(target, contentRect.width);
    }
  });
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
        watcher.unobserve(target);
        inView.add(target);
        draw(target);
        resized.observe(target.querySelector(".canvas"));
      }
    },
    { rootMargin: "200px" },
  );
  document.querySelectorAll("figure[data-plot]").forEach((figure) => watcher.observe(figure));
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
  watchPointer();
  document.documentElement.dataset.ready = Math.round(performance.now());
}
