"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/* Theme: the system's until the button is pressed. */
const root = document.documentElement;
const systemIsDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
document.getElementById("theme").addEventListener("click", () => {
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark();
  root.dataset.theme = isDark ? "light" : "dark";
});

/* Tables: a heading's button sorts by its column, again the other way round. Empty cells stay last. */
function sortBy(button) {
  const header = button.closest("th");
  const body = header.closest("table").tBodies[0];
  const flipped = { ascending: "descending", descending: "ascending" };
  const order = flipped[header.getAttribute("aria-sort")] ?? button.dataset.first;
  const keyOf = (row) => row.cells[header.cellIndex].dataset.value;
  const compare = (a, b) => {
    const [x, y] = [keyOf(a), keyOf(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const difference = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return order === "ascending" ? difference : -difference;
  };
  all("th[aria-sort]", header.parentElement).forEach((other) => other.setAttribute("aria-sort", "none"));
  header.setAttribute("aria-sort", order);
  body.append(...[...body.rows].sort(compare));
}
all("table.sortable thead button").forEach((b) => b.addEventListener("click", () => sortBy(b)));

/* Choosers. */
all(".curves .chooser input").forEach((input) => input.addEventListener("change", () => {
  all("svg.lines", input.closest(".curves")).forEach((svg) => svg.toggleAttribute("hidden", svg.dataset.metric !== input.value));
}));
all(".views .chooser input").forEach((input) => input.addEventListener("change", () => {
  input.closest(".views").dataset.view = input.value;
}));

/* Legend: a press shows or hides a run, hovering brings it forward. */
function applyLegend(box) {
  const hidden = new Set(all(".legend [aria-pressed=false]", box).map((b) => b.dataset.run));
  all(".line", box).forEach((line) => line.toggleAttribute("hidden", hidden.has(line.dataset.run)));
}
function bringForward(box, run) {
  box.classList.toggle("focused", run !== null);
  all(".line, .legend button", box).forEach((mark) => mark.classList.toggle("forward", mark.dataset.run === run));
}
all(".curves").forEach((box) => {
  const buttons = all(".legend [data-run]", box);
  buttons.forEach((button) => {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      applyLegend(box);
    });
    button.addEventListener("pointerenter", () => bringForward(box, button.dataset.run));
    button.addEventListener("pointerleave", () => bringForward(box, null));
  });
  box.querySelector("[data-all]")?.addEventListener("click", () => {
    const isAnyShown = buttons.some((b) => b.getAttribute("aria-pressed") === "true");
    buttons.forEach((b) => b.setAttribute("aria-pressed", !isAnyShown));
    applyLegend(box);
  });
});

/* Tips: what the pointer is on, in epochs and values. */
const tip = document.getElementById("tip");
function showTip(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  tip.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, event.clientY - tip.offsetHeight - 12)}px)`;
}
const places = (line) => line.querySelector("path").getAttribute("d").slice(1).split("L").map((p) => p.split(" ").map(Number));
function nearest(svg, x, y) {
  let found = null;
  for (const line of all(".line:not([hidden])", svg)) {
    for (const [px, py] of places(line)) {
      const distance = Math.hypot(px - x, (py - y) * 0.8);
      if (!found || distance < found.distance) found = { distance, px, py, run: line.dataset.run };
    }
  }
  return found;
}
const [LEFT, RIGHT, TOP, BOTTOM] = [54, 630, 12, 296];
function tellNearest(svg, event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const found = nearest(svg, at.x, at.y);
  if (!found) return;
  const [xLow, xHigh, yLow, yHigh] = svg.dataset.domain.split(" ").map(Number);
  const epoch = xLow + ((found.px - LEFT) / (RIGHT - LEFT)) * (xHigh - xLow);
  const value = yLow + ((BOTTOM - found.py) / (BOTTOM - TOP)) * (yHigh - yLow);
  const [line, dot] = all(".cursor", svg);
  line.setAttribute("transform", `translate(${found.px} 0)`);
  dot.setAttribute("transform", `translate(${found.px} ${found.py})`);
  [line, dot].forEach((mark) => mark.removeAttribute("hidden"));
  bringForward(svg.closest(".curves"), found.run);
  showTip(event, `${found.run} · epoch ${+epoch.toFixed(1)} · ${value.toPrecision(3)}`);
}
all(".curves svg.lines").forEach((svg) => {
  svg.addEventListener("pointermove", (event) => tellNearest(svg, event));
  svg.addEventListener("pointerleave", () => {
    tip.hidden = true;
    all(".cursor", svg).forEach((mark) => mark.setAttribute("hidden", ""));
    bringForward(svg.closest(".curves"), null);
  });
});
all("[data-tip]").forEach((mark) => {
  mark.querySelector("title")?.remove();
  mark.addEventListener("pointermove", (event) => showTip(event, mark.dataset.tip));
  mark.addEventListener("pointerleave", () => { tip.hidden = true; });
});

/* A link to a run opens its section. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) { target.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", openTarget);
openTarget();
