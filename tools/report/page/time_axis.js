// SPDX-License-Identifier: MIT
// The time axis, shared by all charts that have one.

const view = {from: 0, to: data.span, listeners: []};
const LEAST_SPAN = Math.min(data.span, 20);
const setView = (from, to) => {
  const width = clamp(to - from, LEAST_SPAN, data.span);
  view.from = clamp(from, 0, data.span - width);
  view.to = view.from + width;
  for (const listener of view.listeners) listener();
  status.textContent = "Shown: " + clock(view.from) + " to " + clock(view.to) + ", " + duration(width);
};
const zoom = (factor, around = (view.from + view.to) / 2) => {
  const width = (view.to - view.from) * factor;
  const share = (around - view.from) / (view.to - view.from);
  setView(around - width * share, around + width * (1 - share));
};
const timeKeys = (key, chart) => {
  const item = chart.items[chart.place()];
  const around = item && item.t !== undefined ? item.t : undefined;
  if (key === "+" || key === "=") zoom(0.5, around);
  else if (key === "-" || key === "_") zoom(2, around);
  else if (key === "0" || (key === "Escape" && view.to - view.from < data.span)) { hideTip(); setView(0, data.span); }
  else if (key === "PageDown") setView(view.from + (view.to - view.from) / 2, view.to + (view.to - view.from) / 2);
  else if (key === "PageUp") setView(view.from - (view.to - view.from) / 2, view.to - (view.to - view.from) / 2);
  else return false;
  return true;
};
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 15e6, 3e7, 6e7, 12e7,
  3e8, 6e8, 12e8, 18e8, 36e8, 72e8, 216e8, 432e8, 864e8, 2 * DAY, 7 * DAY, 28 * DAY, 365 * DAY];
const timeTicks = (width) => {
  const step = STEPS.find((s) => (view.to - view.from) / s * 86 <= width) || STEPS[STEPS.length - 1];
  const digits = step >= 1e6 ? 0 : step >= 1e3 ? 3 : 6;
  const ticks = [];
  for (let t = Math.ceil((view.from + data.clock) / step) * step - data.clock; t <= view.to; t += step)
    ticks.push([t, step >= DAY ? "+" + Math.round(t / DAY) + " d" : clock(t, digits)]);
  return ticks;
};
const drawTimeAxis = (root, x, top, bottom, left, right) => {
  let free = -Infinity;  // where the last name ends
  for (const [t, text] of timeTicks(right - left)) {
    const at = fixed(x(t));
    const wide = text.length * 6.4;
    root.append(svg("line", {class: "grid", x1: at, x2: at, y1: top, y2: bottom}));
    const start = clamp(at - wide / 2, left - 6, right + 6 - wide);
    if (start < free + 8) continue;
    free = start + wide;
    root.append(svg("text", {x: fixed(start), y: bottom + 15}, text));
  }
  root.append(svg("line", {class: "axis", x1: left, x2: right, y1: bottom, y2: bottom}));
};
// Dragging over the chart chooses the span to be shown.
const addTimeTools = (chart, sides) => {
  chart.button("+", "Zoom in", () => zoom(0.5));
  chart.button("\u2212", "Zoom out", () => zoom(2));
  const whole = chart.button("Whole log", "Show the whole log", () => setView(0, data.span));
  const words = html("span", {class: "span-text"});
  chart.tools.append(words);
  view.listeners.push(() => {
    chart.redraw();
    whole.setAttribute("aria-pressed", String(view.to - view.from >= data.span));
    words.textContent = clock(view.from) + " \u2013 " + clock(view.to) + " (" + duration(view.to - view.from) + ")";
  });
  const timeAt = (event) => {
    const rect = chart.root.getBoundingClientRect();
    const at = (event.clientX - rect.left) * chart.width / rect.width;
    const [left, right] = sides(chart.width);
    return view.from + clamp((at - left) / (right - left), 0, 1) * (view.to - view.from);
  };
  chart.timeAt = timeAt;
  let start = null;
  let brush = null;
  chart.root.classList.add("drag");
  chart.root.addEventListener("pointerdown", (event) => {
    chart.dragged = false;
    if (event.button === 0 && event.pointerType !== "touch") start = timeAt(event);
  });
  addEventListener("pointermove", (event) => {
    if (start === null) return;
    const [left, right] = sides(chart.width);
    const at = (t) => left + (t - view.from) / (view.to - view.from) * (right - left);
    const [a, b] = [start, timeAt(event)].sort((one, other) => one - other).map(at);
    if (!chart.dragged && b - a < 5) return;
    chart.dragged = true;
    if (!brush) chart.root.append(brush = svg("rect", {class: "brush", y: 0, height: chart.root.viewBox.baseVal.height}));
    brush.setAttribute("x", a);
    brush.setAttribute("width", Math.max(0, b - a));
  });
  addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [a, b] = [start, timeAt(event)].sort((one, other) => one - other);
    start = null;
    if (brush) { brush.remove(); brush = null; }
    if (chart.dragged && b > a) setView(a, b);
    setTimeout(() => { chart.dragged = false; }, 0);
  });
  chart.root.addEventListener("dblclick", (event) => { event.preventDefault(); setView(0, data.span); });
  chart.root.addEventListener("wheel", (event) => {  // with a key, so that the page can be scrolled over it
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, timeAt(event));
  }, {passive: false});
};
