// SPDX-License-Identifier: MIT
// What every chart of a report is made of: texts, the tooltip, marks that can be reached, buttons.
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
const status = document.getElementById("status");
const SVG = "http://www.w3.org/2000/svg";

// ---- small things ----

const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) node.setAttribute(name, value);
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
};
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
const html = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const fixed = (value) => Math.round(value * 10) / 10;

const grouped = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ",");
const exact = (kb) => grouped(kb) + " kB";
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const size = (kb) => {
  let unit = 0;
  let value = kb;
  while (value >= 1024 && unit + 1 < UNITS.length) { value /= 1024; ++unit; }
  return (unit === 0 ? String(value) : value.toFixed(1)) + " " + UNITS[unit];
};
const both = (kb) => size(kb) + " (" + exact(kb) + ")";
const range = (low, high) => (low === high ? both(low) : size(low) + " to " + size(high) + " (" + exact(low) + " to " + exact(high) + ")");
const duration = (us) => {
  if (us >= 3600e6) return (us / 3600e6).toFixed(1) + " h";
  if (us >= 60e6) return (us / 60e6).toFixed(1) + " min";
  if (us >= 1e6) return (us / 1e6).toFixed(us < 10e6 ? 2 : 1) + " s";
  if (us >= 1e3) return (us / 1e3).toFixed(us < 10e3 ? 2 : 1) + " ms";
  return grouped(us) + " \u00b5s";
};
const two = (n) => String(n).padStart(2, "0");
const DAY = 86400e6;
const clock = (us, digits = 3) => {
  const all = ((data.clock + us) % DAY + DAY) % DAY;
  const seconds = Math.floor(all / 1e6);
  const text = two(Math.floor(seconds / 3600)) + ":" + two(Math.floor(seconds / 60) % 60) + ":" + two(seconds % 60);
  return digits === 0 ? text : text + "." + String(Math.floor(all % 1e6)).padStart(6, "0").slice(0, digits);
};
const plural = (n, word) => grouped(n) + " " + word + (n === 1 ? "" : "s");

// ---- the tooltip: [title, [label, text]...] ----

let focused = null;  // the mark whose tooltip is shown because it has the focus
const hideTip = () => { tip.hidden = true; focused = null; };
const showTip = (content, x, y) => {
  focused = null;
  const list = html("dl", {});
  for (const [label, text] of content.rows) if (text) list.append(html("dt", {}, label), html("dd", {}, text));
  tip.replaceChildren(html("b", {}, content.title), list);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = clamp(x + 14, 4, Math.max(4, innerWidth - box.width - 4));
  const below = y + 16 + box.height < innerHeight;
  tip.style.left = left + "px";
  tip.style.top = Math.max(4, below ? y + 16 : y - box.height - 12) + "px";
};
// Stays beside its mark when the page scrolls, as it does to bring a mark into view.
const tipOfFocus = (item) => {
  const rect = item.node.getBoundingClientRect();
  showTip(item.tip(), rect.left + rect.width / 2, rect.bottom - 8);
  focused = item;
};
const asText = (content) => [content.title, ...content.rows.filter((row) => row[1]).map(([label, text]) => label + " " + text)].join(", ");
const leadTo = (id) => {
  const target = document.getElementById(id);
  if (!target) return;
  for (const old of document.querySelectorAll("tr.shown")) old.classList.remove("shown");
  if (target.tagName === "TR") target.classList.add("shown");
  target.scrollIntoView({block: "center"});
  target.focus({preventScroll: true});
};

// ---- a chart: an SVG with marks that can be reached, and buttons above it ----
// draw(root, width, add) fills the picture; add(node, item) makes node a mark. item: {key, tip(), act()}.

const charts = [];
const makeChart = (box, {name, help, draw, keys}) => {
  const root = svg("svg", {role: "group", "aria-label": name + ". " + help, "aria-roledescription": "chart"});
  const tools = html("div", {class: "tools", role: "group", "aria-label": "View of the chart"});
  box.append(tools, root);
  const chart = {box, root, tools, items: [], active: null, width: 0};

  chart.redraw = () => {
    const held = root.contains(document.activeElement);
    chart.width = Math.max(280, Math.round(box.clientWidth));
    chart.items = [];
    root.replaceChildren(svg("title", {}, name), svg("desc", {}, help));
    const add = (node, item) => {
      node.setAttribute("data-i", chart.items.length);
      node.setAttribute("role", item.act ? "button" : "img");
      node.setAttribute("aria-label", asText(item.tip()));
      node.setAttribute("tabindex", "-1");
      chart.items.push({...item, node});
    };
    const height = draw(root, chart.width, add);
    root.setAttribute("viewBox", "0 0 " + chart.width + " " + Math.ceil(height));
    let place = chart.items.findIndex((item) => item.key === chart.active);
    if (place < 0) place = 0;
    if (chart.items.length) {
      chart.items[place].node.setAttribute("tabindex", "0");
      chart.active = chart.items[place].key;
      if (held) chart.items[place].node.focus({preventScroll: true});
    }
  };

  chart.focus = (place) => {
    if (!chart.items.length) return;
    const item = chart.items[clamp(place, 0, chart.items.length - 1)];
    for (const other of chart.items) other.node.setAttribute("tabindex", "-1");
    item.node.setAttribute("tabindex", "0");
    chart.active = item.key;
    item.node.focus();
  };
  chart.place = () => chart.items.findIndex((item) => item.key === chart.active);

  const itemOf = (target) => {
    const node = target.closest && target.closest("[data-i]");
    return node && root.contains(node) ? chart.items[Number(node.getAttribute("data-i"))] : null;
  };
  root.addEventListener("pointermove", (event) => {
    const item = itemOf(event.target);
    if (item) showTip(item.tip(), event.clientX, event.clientY);
    else if (chart.hover) chart.hover(event);
    else hideTip();
  });
  root.addEventListener("pointerleave", () => { hideTip(); if (chart.leave) chart.leave(); });
  box.addEventListener("focusin", (event) => {
    const item = itemOf(event.target);
    if (!item) return;
    chart.active = item.key;
    if (item.node.matches(":focus-visible")) tipOfFocus(item);
  });
  box.addEventListener("focusout", hideTip);  // not of the SVG: Chromium lets Tab stop at one that listens for the focus
  root.addEventListener("click", (event) => {
    const item = itemOf(event.target);
    if (item && item.act && !chart.dragged) item.act();
  });
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = chart.place();
    const moves = {ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: chart.items.length - 1};
    if (keys && keys(event.key, chart)) event.preventDefault();
    else if (event.key in moves) { event.preventDefault(); chart.focus(moves[event.key]); }
    else if ((event.key === "Enter" || event.key === " ") && chart.items[at] && chart.items[at].act) { event.preventDefault(); chart.items[at].act(); }
    else if (event.key === "Escape") hideTip();
  });

  chart.button = (text, label, act) => {
    const button = html("button", {type: "button", "aria-label": label, title: label}, text);
    button.addEventListener("click", act);
    tools.append(button);
    return button;
  };
  charts.push(chart);
  return chart;
};

const cut = (text, width, perLetter = 7.2) => {
  const most = Math.floor(width / perLetter);
  return text.length <= most ? text : most < 3 ? "" : text.slice(0, most - 1) + "\u2026";
};
