"use strict";
// Plots are drawn when they first come into view, and again when what they show changes.

const PLOTS = { plane, bars, pr, froc, time };
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

const inView = new Set();
const darkMode = matchMedia("(prefers-color-scheme: dark)");

async function draw(figure) {
  const library = await plotly();
  const [traces, how] = PLOTS[figure.dataset.plot](figure);
  await library.react(figure.querySelector(".canvas"), traces, how, CONFIG);
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
  darkMode.addEventListener("change", () => drawPlots());
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
