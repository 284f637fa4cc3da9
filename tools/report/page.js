// SPDX-License-Identifier: MIT
//
// Draws the charts of a report from the document in the page. Text of the log only ever becomes the text of a node, never
// markup. Every mark can be reached by keyboard: Tab to a chart, arrows from mark to mark, + and - to zoom, Enter to go
// where a mark leads, Esc to go back.
"use strict";
(() => {
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

  // ---- the time axis, shared by all charts that have one ----

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

  // ---- timeline ----

  const points = data.readings.points.map((p) => (p.length === 2 ? {t: p[0], to: p[0], low: p[1], high: p[1], first: p[1], last: p[1], n: 1}
    : {t: p[0], to: p[1], low: p[2], high: p[3], first: p[4], last: p[5], n: p[6]}));
  const LEVEL_STEPS = [1, 2, 4, 5, 8, 10, 20, 32, 50, 64, 100, 128, 200, 256, 512];
  const levelTicks = (low, high, wanted) => {
    let unit = 1;
    while ((high - low) / unit > 512 * wanted) unit *= 1024;
    let step = unit * (LEVEL_STEPS.find((s) => (high - low) / (s * unit) <= wanted) || 1024);
    if (step <= 0) step = 1;
    const ticks = [];
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) ticks.push(value);
    return ticks;
  };
  const tickSize = (kb) => {  // to two places: ticks lie at round ones
    const unit = Math.min(Math.floor(Math.log2(Math.max(kb, 1)) / 10), UNITS.length - 1);
    return kb === 0 ? "0" : String(Number((kb / 1024 ** unit).toFixed(2))) + " " + UNITS[unit];
  };

  const verdictTip = (mark) => {
    const verdict = data.verdicts[mark.v];
    return {title: verdict.title, rows: [["at", clock(mark.t, 6)], ...verdict.rows]};
  };
  const forkTip = (f) => ({
    title: f.call + (f.errno ? " refused with " + f.errno : "") + " in " + f.name + " (" + f.pid + ")",
    rows: [["at", clock(f.t, 6)], ["asked by", f.asked], ["charge", f.charge !== null ? both(f.charge) : f.observed !== null ? "about " + both(f.observed) + ", observed" : ""],
      ["Committed_AS", f.before === null ? "" : f.after === null ? exact(f.before) : exact(f.before) + " \u2192 " + exact(f.after)],
      ["took", f.took === null ? "" : duration(f.took / 1000)], ["child", f.child ? String(f.child) : ""], ["its end", f.end]],
  });
  const mapTip = (m) => ({
    title: m.op + " of " + size(m.kb) + " in " + m.name + " (" + m.pid + ")",
    rows: [["at", clock(m.t, 6)], ["size", exact(m.kb)], ["charge", m.charge === null ? "not proven by its record" : exact(m.charge)], ["by", m.by]],
  });

  const startTimeline = (box) => {
    let toReadings = false;
    const sides = (width) => [70, width - (width < 520 ? 8 : 16)];
    const TOP = 18;
    const rehearsed = data.rehearsed_limit;
    const stems = new Map();  // the first refusal of each verdict: what it asked for is known of that one
    for (const mark of data.refusals) {
      const verdict = data.verdicts[mark.v];
      if (!stems.has(mark.v) && verdict.asked !== undefined && !verdict.coped) stems.set(mark.v, {...mark, ...verdict, v: mark.v});
    }

    const levels = () => {
      const shown = points.filter((p) => p.to >= view.from && p.t <= view.to);
      const some = shown.length ? shown : points;
      if (toReadings && some.length) {
        const low = Math.min(...some.map((p) => p.low));
        const high = Math.max(...some.map((p) => p.high));
        const room = Math.max((high - low) * 0.12, 64);
        return [Math.max(0, low - room), high + room];
      }
      // A limit that nobody enforces is drawn if it is near; it must not press the readings flat.
      const read = points.reduce((a, p) => Math.max(a, p.high), 1024);
      const enforced = data.mode === 2 && !rehearsed;
      const limits = data.readings.limits.map((l) => l[2]).filter((kb) => enforced || kb <= 3 * Math.max(read, rehearsed || 0));
      const most = limits.reduce((a, b) => Math.max(a, b), Math.max(read, rehearsed || 0));
      const asked = [...stems.values()].reduce((a, s) => Math.max(a, s.committed + s.asked), 0);
      return [0, Math.max(most, Math.min(asked, most * 2.2)) * 1.08];
    };

    const draw = (root, width, add) => {
      const [left, right] = sides(width);
      const plotHeight = width < 520 ? 210 : 270;
      const bottom = TOP + plotHeight;
      const [low, high] = levels();
      const x = (t) => left + (t - view.from) / (view.to - view.from) * (right - left);
      const y = (kb) => bottom - (clamp(kb, low, high) - low) / (high - low) * plotHeight;
      const lanes = [["refused", "refused"], ["forks", "fork"], ["mappings", "map"]];
      const laneTop = bottom + 26;
      const LANE = 24;
      const end = laneTop + lanes.length * LANE;

      drawTimeAxis(root, x, TOP, bottom, left, right);
      for (const value of levelTicks(low, high, 5))
        root.append(svg("line", {class: "grid", x1: left, x2: right, y1: fixed(y(value)), y2: fixed(y(value))}),
          svg("text", {x: left - 8, y: fixed(y(value)) + 4, "text-anchor": "end"}, tickSize(value)));
      const clip = "clip-timeline";
      root.append(svg("defs", {}, svg("clipPath", {id: clip}, svg("rect", {x: left - 3, y: TOP - 4, width: right - left + 6, height: plotHeight + 8}))));
      const plot = svg("g", {"clip-path": "url(#" + clip + ")"});
      root.append(plot);

      // CommitLimit: solid from the first to the last reading that gave it, dotted where no reading says so.
      const limits = data.readings.limits;
      limits.forEach(([from, to, kb], i) => {
        if (kb > high || kb < low) return;
        plot.append(svg("line", {class: "limit-line", x1: x(from) - (from === to ? 3 : 0), x2: x(to) + (from === to ? 3 : 0), y1: y(kb), y2: y(kb)}));
        const next = i + 1 < limits.length ? limits[i + 1][0] : data.span;
        plot.append(svg("line", {class: "limit-between", x1: x(to), x2: x(next), y1: y(kb), y2: y(kb)}));
      });
      const nameLimit = (kb, text) => {
        const where = kb > high ? ", above this chart" : kb < low ? ", below this chart" : "";
        const taken = [...stems.values()].some((s) => s.t <= view.to && x(s.t) > right - 220);  // by an arrow
        root.append(svg("text", {class: "limit-name", x: taken ? left + 4 : right, y: fixed(y(kb)) - 5, "text-anchor": taken ? "start" : "end"}, cut(text + where, right - left)));
      };
      if (limits.length) nameLimit(limits[limits.length - 1][2], "CommitLimit " + size(limits[limits.length - 1][2]) + (data.mode === 2 ? "" : ", not enforced in mode " + data.mode));
      if (rehearsed) {
        plot.append(svg("line", {class: "limit-line", x1: left, x2: right, y1: y(rehearsed), y2: y(rehearsed)}));
        nameLimit(rehearsed, "rehearsed limit " + size(rehearsed));
      }

      // Committed_AS: readings, and a dotted way from one to the next that claims nothing.
      const near = points.filter((p, i) => (i + 1 < points.length ? points[i + 1].t : p.to) >= view.from && (i ? points[i - 1].to : p.t) <= view.to);
      if (near.length) {
        let way = "";
        let span = "";
        for (const p of near) {
          way += (way ? "L" : "M") + fixed(x(p.t)) + " " + fixed(y(p.first)) + (p.to > p.t ? "M" + fixed(x(p.to)) + " " + fixed(y(p.last)) : "");
          if (p.high > p.low || p.to > p.t) {
            const middle = fixed((x(p.t) + x(p.to)) / 2);
            span += "M" + middle + " " + fixed(y(p.low)) + "V" + fixed(Math.min(y(p.high), y(p.low) - 1));
          }
        }
        plot.append(svg("path", {class: "between", d: way}), svg("path", {class: "span", d: span}));
        if (near.length <= 400) for (const p of near) if (p.high === p.low) plot.append(svg("circle", {class: "reading", cx: fixed(x(p.t)), cy: fixed(y(p.first)), r: near.length > 150 ? 1.6 : 2.4}));
      }

      // Granted forks whose two readings are known: from what was promised before to what was after.
      for (const f of data.forks)
        if (f.before !== null && f.after !== null && f.after > f.before && f.t >= view.from && f.t <= view.to)
          plot.append(svg("line", {class: "grew", x1: x(f.t), x2: x(f.t), y1: y(f.before), y2: y(f.after)}));

      // A refusal: what was promised, what was asked for on top of it, and the part that passed the limit.
      for (const s of stems.values()) {
        if (s.t < view.from || s.t > view.to) continue;
        const at = fixed(x(s.t));
        const sum = s.committed + s.asked;
        plot.append(svg("line", {class: "stem", x1: at, x2: at, y1: y(s.committed), y2: y(sum)}));
        if (sum > s.allowed) plot.append(svg("line", {class: "stem over", x1: at, x2: at, y1: y(Math.max(s.allowed, s.committed)), y2: y(sum)}));
        const top = y(sum);
        plot.append(svg("path", {class: "cap", d: "M" + (at - 5) + " " + (top + 8) + "L" + at + " " + top + "L" + (at + 5) + " " + (top + 8) + "Z"}));
        if (stems.size <= 4) {
          const text = width < 520 ? "+ " + size(s.asked) : s.op + " asked for " + size(s.asked) + " more" + (sum > high ? ", beyond this chart" : "");
          const onLeft = at > (left + right) / 2;
          root.append(svg("text", {class: "refused-name", x: onLeft ? at - 9 : at + 9, y: fixed(Math.max(top + 5, TOP + 4)), "text-anchor": onLeft ? "end" : "start"},
            cut(text, onLeft ? at - left - 9 : right - at - 9)));
        }
      }

      // Lanes. Marks that would lie on each other are one mark with a number.
      const lists = {
        refused: data.refusals.map((m, i) => ({t: m.t, key: "r" + i, cls: data.verdicts[m.v].coped ? "coped" : "refused", tip: () => verdictTip(m), act: () => leadTo(data.verdicts[m.v].id)})),
        fork: data.forks.filter((f) => !f.errno).map((f) => ({t: f.t, key: f.id, cls: "fork", tip: () => forkTip(f), act: () => leadTo(f.id)})),
        map: data.mappings.map((m, i) => ({t: m.t, key: "m" + i, cls: m.charge === 0 ? "map free" : "map", tip: () => mapTip(m), kb: m.kb})),
      };
      const most = Math.log2(data.mappings.reduce((a, m) => Math.max(a, m.kb), 2048) / 512);
      lanes.forEach(([title, kind], row) => {
        const middle = laneTop + row * LANE + LANE / 2;
        root.append(svg("text", {x: left - 8, y: middle + 4, "text-anchor": "end"}, title), svg("line", {class: "grid", x1: left, x2: right, y1: middle + LANE / 2, y2: middle + LANE / 2}));
        const shown = lists[kind].filter((m) => m.t >= view.from && m.t <= view.to).sort((a, b) => a.t - b.t);
        for (let i = 0; i < shown.length;) {
          let next = i + 1;
          while (next < shown.length && x(shown[next].t) - x(shown[i].t) < 7) ++next;
          const group = shown.slice(i, next);
          i = next;
          const one = group[0];
          const at = fixed((x(one.t) + x(group[group.length - 1].t)) / 2);
          const node = svg("g", {class: "mark " + one.cls});
          if (kind === "refused") node.append(svg("path", {d: "M" + at + " " + (middle - 7) + "l7 13h-14z"}));
          else if (kind === "fork") node.append(svg("circle", {cx: at, cy: middle, r: 5}));
          else {
            const tall = clamp(4 + 15 * Math.log2(Math.max(...group.map((m) => m.kb)) / 512) / most, 4, 19);
            node.append(svg("rect", {x: at - 3, y: middle + 10 - tall, width: 6, height: tall, rx: 1}));
          }
          const room = i < shown.length ? x(shown[i].t) - at : right - at;
          if (group.length > 1 && room > 16 + 7 * grouped(group.length).length) node.append(svg("text", {x: at + 8, y: middle + 4}, grouped(group.length)));
          node.append(svg("rect", {class: "hit", x: at - 7, y: middle - LANE / 2, width: 14, height: LANE}), svg("rect", {class: "ring", x: at - 9, y: middle - 10.5, width: 18, height: 21, rx: 4}));
          if (group.length === 1) add(node, {...one, t: one.t});
          else {
            const [from, to] = [one.t, group[group.length - 1].t];
            add(node, {key: one.key, t: (from + to) / 2,
              tip: () => ({title: grouped(group.length) + " " + title, rows: [["from", clock(from, 6)], ["to", clock(to, 6)], ["first", group[0].tip().title], ["last", group[group.length - 1].tip().title]]}),
              act: () => (to > from && view.to - view.from > LEAST_SPAN ? setView(from - (to - from) * 0.2 - 5, to + (to - from) * 0.2 + 5) : one.act && one.act())});
          }
          root.append(node);
        }
      });
      root.append(svg("line", {class: "cross", x1: 0, x2: 0, y1: TOP, y2: end, visibility: "hidden"}));
      return end + 6;
    };

    const chart = makeChart(box, {name: "Committed_AS over time", help: "Arrows go from mark to mark, plus and minus zoom, 0 shows the whole log. The readings and the largest mappings also stand in a table below.", draw, keys: timeKeys});
    addTimeTools(chart, sides);
    const scale = chart.button("Scale to the readings", "Scale the height to the readings shown, not from zero", () => {
      toReadings = !toReadings;
      scale.setAttribute("aria-pressed", String(toReadings));
      chart.redraw();
    });
    scale.setAttribute("aria-pressed", "false");
    // Over the plot: the reading next to the pointer.
    chart.hover = (event) => {
      const t = chart.timeAt(event);
      const cross = chart.root.querySelector(".cross");
      if (!points.length || !cross) return hideTip();
      let best = points[0];
      for (const p of points) if (Math.abs(p.t - t) < Math.abs(best.t - t)) best = p;
      const [left, right] = sides(chart.width);
      const at = left + (best.t - view.from) / (view.to - view.from) * (right - left);
      if (at < left - 1 || at > right + 1) { cross.setAttribute("visibility", "hidden"); return hideTip(); }
      cross.setAttribute("visibility", "visible");
      cross.setAttribute("x1", at);
      cross.setAttribute("x2", at);
      const limit = data.readings.limits.filter((l) => l[0] <= best.to).pop();
      const rows = best.n === 1 ? [["Committed_AS", both(best.first)]] : [["readings", grouped(best.n) + ", to " + clock(best.to, 6)], ["lowest", both(best.low)], ["highest", both(best.high)]];
      if (rehearsed) rows.push(["rehearsed limit", both(rehearsed)]);
      else if (limit) rows.push(["CommitLimit", both(limit[2])]);
      showTip({title: clock(best.t, 6), rows}, event.clientX, event.clientY);
    };
    chart.leave = () => { const cross = chart.root.querySelector(".cross"); if (cross) cross.setAttribute("visibility", "hidden"); };
    legend(box, [
      ["Committed_AS, read", svg("circle", {class: "reading", cx: 11, cy: 6, r: 3})],
      ["not recorded between", svg("path", {class: "between", d: "M1 6H21"})],
      [rehearsed ? "limits" : "CommitLimit", svg("path", {class: "limit-line", d: "M1 6H21"})],
      ["refused, and what it asked for", svg("path", {class: "cap", d: "M11 0l6 11h-12z"})],
      ["fork granted", svg("circle", {cx: 11, cy: 6, r: 4.5, class: "mark fork"})],
      ["mapping of 1 MiB or more; hollow: not charged", svg("rect", {class: "mark map", x: 8, y: 0, width: 6, height: 12})],
    ]);
  };
  const legend = (box, entries) => {
    const list = html("ul", {class: "legend"});
    for (const [text, picture] of entries) list.append(html("li", {}, svg("svg", {viewBox: "0 0 22 12", "aria-hidden": "true"}, picture), text));
    box.append(list);
  };

  // ---- processes: a bar from birth to end, each beneath its parent ----

  const startLives = (box) => {
    const FIRST = 40;
    let all = data.lives.length <= FIRST + 5;
    const sides = (width) => [width < 520 ? 118 : 250, width - (width < 520 ? 22 : 120)];
    const draw = (root, width, add) => {
      const [left, right] = sides(width);
      const rows = all ? data.lives : data.lives.slice(0, FIRST);
      const ROW = 22;
      const bottom = 6 + rows.length * ROW;
      const x = (t) => left + (t - view.from) / (view.to - view.from) * (right - left);
      drawTimeAxis(root, x, 2, bottom, left, right);
      rows.forEach((life, i) => {
        const top = 6 + i * ROW;
        const end = life.to !== null ? life.to : life.kind === "running" ? data.span : life.last;
        const node = svg("g", {class: "mark"});
        const indent = Math.min(life.depth, width < 520 ? 4 : 10) * (width < 520 ? 7 : 12);
        const label = life.name + (life.others ? " \u00d7 " + grouped(life.others + 1) : " " + life.pid);
        if (life.depth) node.append(svg("path", {class: "frame", d: "M" + (indent - 6) + " " + (top + 2) + "v8h5"}));
        node.append(svg("text", {class: "name", x: indent + 2, y: top + 14}, cut(label, left - indent - 12)));
        const [from, to] = [clamp(x(life.from), left, right), clamp(x(end), left, right)];
        if (life.from <= view.to && end >= view.from) {
          node.append(svg("rect", {class: "life " + life.kind, x: fixed(from), y: top + 4, width: Math.max(2, fixed(to - from)), height: ROW - 9, rx: 2}));
          if (end <= view.to) {
            const middle = top + 4 + (ROW - 9) / 2;
            if (life.kind === "killed") node.append(svg("path", {class: "fate killed", d: "M" + (to + 3) + " " + (middle - 4) + "l8 8m0 -8l-8 8"}));
            else if (life.kind === "unknown") node.append(svg("path", {class: "fate", "stroke-dasharray": "2 2", d: "M" + (to + 2) + " " + middle + "h9"}));
            else if (life.kind === "running") node.append(svg("path", {class: "fate", d: "M" + (to + 2) + " " + (middle - 4) + "l5 4l-5 4"}));
            else node.append(svg("path", {class: "fate", d: "M" + (to + 2) + " " + (top + 4) + "v" + (ROW - 9)}));
            if (width >= 520) node.append(svg("text", {x: Math.min(to, right) + 15, y: top + 14}, cut(life.fate, width - Math.min(to, right) - 16)));
          }
          if (life.refused && width >= 520 && to - from > 90) node.append(svg("text", {class: "refused-name", x: fixed(from) + 5, y: top + 14}, plural(life.refused, "fork") + " refused"));
        }
        node.append(svg("rect", {class: "hit", x: 0, y: top, width, height: ROW}), svg("rect", {class: "ring", x: 1, y: top + 1, width: width - 2, height: ROW - 2, rx: 4}));
        add(node, {key: "l" + i, t: life.from, tip: () => ({
          title: life.name + (life.others ? ", " + plural(life.others + 1, "process") + "es alike" : " (pid " + life.pid + ")"),
          rows: [["fate", life.fate], ["began", clock(life.from, 6)], ["ended", life.to === null ? "" : clock(life.to, 6)], ["lived", life.to === null || life.others ? "" : duration(life.to - life.from)],
            ["last sign of life", life.to === null ? clock(life.last, 6) : ""], ["made by", life.made], ["forks", life.forks ? grouped(life.forks) : ""],
            ["forks refused", life.refused ? grouped(life.refused) : ""], ["program", life.detail]]})});
        root.append(node);
      });
      return bottom + 24;
    };
    const chart = makeChart(box, {name: "Lives of the processes", help: "Up and down go from process to process, plus and minus zoom. The same stands in a table below.", draw, keys: timeKeys});
    addTimeTools(chart, sides);
    if (!all) {
      const more = chart.button("All " + grouped(data.lives.length), "Show all processes", () => { all = !all; more.setAttribute("aria-pressed", String(all)); chart.redraw(); });
      more.setAttribute("aria-pressed", "false");
    }
    legend(box, [
      ["ended with 0", svg("rect", {class: "life ended", x: 1, y: 1, width: 20, height: 10, rx: 2})],
      ["with another status", svg("rect", {class: "life status", x: 1, y: 1, width: 20, height: 10, rx: 2})],
      ["killed", svg("rect", {class: "life killed", x: 1, y: 1, width: 20, height: 10, rx: 2})],
      ["still running", svg("rect", {class: "life running", x: 1, y: 1, width: 20, height: 10, rx: 2})],
      ["end not recorded", svg("rect", {class: "life", x: 1, y: 1, width: 20, height: 10, rx: 2})],
    ]);
  };

  // ---- address space: areas by charge, with the others of the same owner ----

  // Bruls, Huizing and van Wijk: rows whose rectangles come near to squares.
  const squarify = (items, box) => {
    const placed = [];
    let rest = items.filter((item) => item.weight > 0);
    let {x, y, w, h} = box;
    let total = rest.reduce((a, item) => a + item.weight, 0);
    while (rest.length && w > 0 && h > 0) {
      const side = Math.min(w, h);
      const unit = w * h / total;
      let sum = 0;
      let worst = Infinity;
      let count = 0;
      for (const item of rest) {
        const next = sum + item.weight;
        const thick = next * unit / side;
        const [first, last] = [rest[0].weight * unit / thick, item.weight * unit / thick];
        const ratio = Math.max(first / thick, thick / first, last / thick, thick / last);
        if (ratio > worst) break;
        worst = ratio;
        sum = next;
        ++count;
      }
      const thick = sum * unit / side;
      let along = 0;
      for (const item of rest.slice(0, count)) {
        const length = item.weight * unit / thick;
        placed.push({item, x: w >= h ? x : x + along, y: w >= h ? y + along : y, w: w >= h ? thick : length, h: w >= h ? length : thick});
        along += length;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
      total -= sum;
      rest = rest.slice(count);
    }
    return placed;
  };

  const startSpace = (box) => {
    const index = Number(box.getAttribute("data-index"));
    const space = data.spaces[index];
    if (!space || !space.rows.length) return;
    const owners = new Map();
    for (const row of space.rows) {
      if (!owners.has(row.owner)) owners.set(row.owner, {name: row.owner, rows: [], weight: 0});
      const owner = owners.get(row.owner);
      owner.rows.push(row);
      owner.weight += row.high;
    }
    const ordered = [...owners.values()].sort((a, b) => b.weight - a.weight);
    ordered.forEach((owner, i) => { owner.colour = "t" + Math.min(i, 7); owner.rows.sort((a, b) => b.high - a.high); });
    let only = null;  // the owner that is shown alone
    const isHere = (row) => space.refused_at !== undefined && row.start === space.refused_at;
    const rowTip = (row) => ({
      title: (row.merged ? grouped(row.merged) + " smaller mappings" : row.what + " at " + row.start) + (isHere(row) ? ": refused here" : ""),
      rows: [["charged", range(row.low, row.high)], ["size", exact(row.kb)], ["at a fork", exact(row.fork)], ["owner", row.owner], ["made by", row.made]],
    });

    const draw = (root, width, add) => {
      let top = 0;
      // What a refused fork asked for, in the kernel's order: the running sum meets what was left.
      if (space.headroom !== undefined && space.asked) {
        const inOrder = space.rows.filter((row) => row.fork > 0 && !row.merged).sort((a, b) => a.start.padStart(16, "0") < b.start.padStart(16, "0") ? -1 : 1);
        const sum = Math.max(space.asked, inOrder.reduce((a, row) => a + row.fork, 0));
        const [stripTop, stripHeight] = [20, 24];
        root.append(svg("text", {x: 0, y: 12}, cut("The fork's charge, mapping after mapping in the kernel's order: " + size(space.asked), width)));
        let at = 0;
        for (const row of inOrder) {
          const w = row.fork / sum * width;
          const node = svg("g", {class: "mark"}, svg("rect", {class: "tile " + owners.get(row.owner).colour + (isHere(row) ? " here" : ""), x: fixed(at), y: stripTop, width: Math.max(0.5, fixed(w)), height: stripHeight}));
          const before = at / width * sum;
          add(node, {key: "s" + row.start, tip: () => { const t = rowTip(row); t.rows.splice(1, 0, ["sum before it", exact(before)]); return t; }});
          node.append(svg("rect", {class: "ring", x: fixed(at), y: stripTop, width: Math.max(2, w), height: stripHeight}));
          root.append(node);
          at += w;
        }
        const left = clamp(space.headroom, 0, sum) / sum * width;
        const onLeft = left > width / 2;
        root.append(svg("line", {class: "stem over", x1: left, x2: left, y1: stripTop - 3, y2: stripTop + stripHeight + 5}),
          svg("text", {class: "refused-name", x: onLeft ? left - 5 : left + 5, y: stripTop + stripHeight + 15, "text-anchor": onLeft ? "end" : "start"},
            cut("refused here: " + size(Math.max(0, space.headroom)) + " were left", onLeft ? left : width - left)));
        top = stripTop + stripHeight + 28;
      }
      const height = width < 520 ? 260 : 320;
      const groups = squarify(only ? [only] : ordered, {x: 0, y: top, w: width, h: height});
      for (const group of groups) {
        const owner = group.item;
        const head = group.h > 34 && group.w > 60 ? 17 : 0;
        if (head) root.append(svg("text", {class: "name", x: fixed(group.x) + 3, y: fixed(group.y) + 12.5}, cut(owner.name + "  " + size(owner.weight), group.w - 6)));
        const tiles = squarify(owner.rows.map((row) => ({row, weight: row.high})), {x: group.x, y: group.y + head, w: group.w, h: group.h - head});
        for (const tile of tiles) {
          const row = tile.item.row;
          const node = svg("g", {class: "mark"}, svg("rect", {class: "tile " + owner.colour + (isHere(row) ? " here" : ""), x: fixed(tile.x), y: fixed(tile.y), width: fixed(tile.w), height: fixed(tile.h)}));
          if (tile.w > 56 && tile.h > 16) {
            node.append(svg("text", {class: "on", x: fixed(tile.x) + 5, y: fixed(tile.y) + 14}, cut(size(row.high), tile.w - 8)));
            if (tile.h > 32) node.append(svg("text", {class: "on", x: fixed(tile.x) + 5, y: fixed(tile.y) + 28}, cut(isHere(row) ? "refused here" : row.what, tile.w - 8)));
          }
          node.append(svg("rect", {class: "ring", x: fixed(tile.x) + 1, y: fixed(tile.y) + 1, width: Math.max(0, fixed(tile.w) - 2), height: Math.max(0, fixed(tile.h) - 2)}));
          add(node, {key: row.start || row.what, tip: () => rowTip(row), act: () => { only = only ? null : owner; chart.redraw(); all.setAttribute("aria-pressed", String(!only)); }});
          root.append(node);
        }
      }
      return top + height + 2;
    };
    const keys = (key, chart) => {
      const item = chart.items[chart.place()];
      if (key === "+" || key === "=") { if (!only && item && item.act) item.act(); return true; }
      if ((key === "Escape" || key === "-" || key === "0") && only) { only = null; chart.redraw(); all.setAttribute("aria-pressed", "true"); return true; }
      return false;
    };
    const chart = makeChart(box, {name: "Charge of " + space.name + " by mapping", help: "Arrows go from mapping to mapping, Enter shows those of one owner alone, Esc all again. The same stands in a table below.", draw, keys});
    const all = chart.button("All owners", "Show the mappings of all owners", () => { only = null; all.setAttribute("aria-pressed", "true"); chart.redraw(); });
    all.setAttribute("aria-pressed", "true");
    chart.tools.append("Choose an area to see its owner's alone.");
  };

  // ---- flame graph ----

  const startStacks = (box) => {
    const root = {name: "all", weights: [data.stacks[1], data.stacks[2]], parent: null, depth: 0};
    const build = (parent, list) => list.map((raw) => {
      const node = {name: raw[0], weights: [raw[1], raw[2]], parent, depth: parent.depth + 1};
      node.children = build(node, raw[3]);
      return node;
    });
    root.children = build(root, data.stacks[3]);
    let which = data.stacks[2] > 0 ? 1 : 0;  // 0: granted in all, 1: charged at the moment of the address spaces
    let top = root;
    if (!data.stacks[1] && !data.stacks[2]) return;
    const ROW = 19;
    const [GRANTED, THEN] = ["Granted in all", data.at_end ? "Charged at the end" : "Charged at the refusal"];
    const key = (node) => { let text = ""; for (let n = node; n; n = n.parent) text = n.name + "\n" + text; return text; };
    const colour = (name) => {
      if (name.startsWith("(")) return "t7";
      const module = /\(([^()]*)\)$/.exec(name);
      let hash = 0;
      for (const c of module ? module[1] : name.replace(/\+0x[0-9a-f]+$/, "")) hash = (hash * 31 + c.codePointAt(0)) % 7919;
      return "t" + [2, 4, 6, 0, 1, 3, 5][hash % 7];
    };
    const draw = (picture, width, add) => {
      let deepest = 0;
      const above = [];
      for (let n = top.parent; n; n = n.parent) above.unshift(n);
      const rect = (node, x, w, depth, faint) => {
        if (w < 0.6) return;
        deepest = Math.max(deepest, depth);
        const y = depth * ROW;
        const group = svg("g", {class: "mark" + (faint ? " dim" : "")}, svg("rect", {class: "tile " + (node === root ? "t7" : colour(node.name)), x: fixed(x), y, width: Math.max(0.6, fixed(w)), height: ROW - 1}));
        if (w > 34) group.append(svg("text", {class: "on", x: fixed(x) + 4, y: y + 13}, cut(node === root ? "all: " + size(root.weights[which]) : node.name, w - 6)));
        group.append(svg("rect", {class: "ring", x: fixed(x) + 1, y: y + 1, width: Math.max(0, w - 2), height: ROW - 3}));
        const share = root.weights[which] ? (100 * node.weights[which] / root.weights[which]).toFixed(1) + " %" : "";
        add(group, {key: key(node), frame: node, tip: () => ({title: node.name, rows: [[which ? THEN : GRANTED, both(node.weights[which])], ["share", share], [which ? GRANTED : THEN, both(node.weights[1 - which])]]}),
          act: () => { top = node === top && node.parent ? node.parent : node; chart.active = key(node); chart.redraw(); status.textContent = "Shown: " + top.name; }});
        picture.append(group);
      };
      above.forEach((node, depth) => rect(node, 0, width, depth, true));
      const walk = (node, x, w, depth) => {
        rect(node, x, w, depth, false);
        let at = x;
        const children = [...node.children].sort((a, b) => b.weights[which] - a.weights[which]);
        for (const child of children) {
          const cw = node.weights[which] ? child.weights[which] / node.weights[which] * w : 0;
          if (cw >= 0.6) walk(child, at, cw, depth + 1);
          at += cw;
        }
      };
      walk(top, 0, width, above.length);
      return (deepest + 1) * ROW + 2;
    };
    const keys = (pressed, chart) => {
      const item = chart.items[chart.place()];
      if (!item) return false;
      const find = (test) => { const place = chart.items.findIndex((other) => test(other.frame)); if (place >= 0) chart.focus(place); return true; };
      const node = item.frame;
      if (pressed === "ArrowUp") return find((n) => n === node.parent);
      if (pressed === "ArrowDown") return find((n) => n.parent === node);
      if (pressed === "ArrowRight" || pressed === "ArrowLeft") {
        const level = chart.items.map((other, place) => [other, place]).filter(([other]) => other.frame.depth === node.depth);
        const at = level.findIndex(([other]) => other.frame === node) + (pressed === "ArrowRight" ? 1 : -1);
        if (level[at]) chart.focus(level[at][1]);
        return true;
      }
      if (pressed === "+" || pressed === "=") { if (node !== top) item.act(); return true; }
      if ((pressed === "-" || pressed === "Escape") && top.parent) { top = top.parent; chart.redraw(); return true; }
      if (pressed === "0") { top = root; chart.redraw(); return true; }
      return false;
    };
    const chart = makeChart(box, {name: "Flame graph of commit charge", help: "Up and down go to caller and callee, left and right to neighbours, Enter or plus shows one alone, Esc goes back. The largest stand in a table below.", draw, keys});
    const choices = [[GRANTED, "All that was granted, whether or not it was given back", 0], [THEN, "What was charged at the moment of the address spaces above", 1]];
    const buttons = choices.map(([text, label, weight]) => chart.button(text, label, () => {
      which = weight;
      top = root;
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === which)));
      chart.redraw();
    }));
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === which)));
    if (!data.stacks[2]) buttons[1].disabled = true;
    if (!data.stacks[1]) buttons[0].disabled = true;
    chart.button("Reset", "Show all stacks", () => { top = root; chart.redraw(); });
  };

  // ---- tables that can be sorted ----

  const sortable = (table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    if (original.length < 2) return;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = html("button", {type: "button", title: "Sort by this column"}, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", direction);
        const value = (row) => {
          const cell = row.cells[column];
          const datum = cell.querySelector("data");
          const time = cell.querySelector("time");
          if (datum) return Number(datum.value);
          if (time) return time.dateTime;
          const number = Number(cell.textContent.replace(/,/g, ""));
          return cell.textContent !== "" && !Number.isNaN(number) ? number : cell.textContent;
        };
        const order = (a, b) => (a === "" ? -1 : b === "" ? 1 : typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? 1 : -1);
        const keyed = original.map((row, i) => [value(row), i, row]).sort((a, b) => order(a[0], b[0]) || a[1] - b[1]);
        if (direction === "descending") keyed.reverse();
        body.append(...keyed.map((entry) => entry[2]));
      });
    });
  };

  // ---- begin ----

  const starts = {timeline: startTimeline, lives: startLives, space: startSpace, stacks: startStacks};
  for (const box of document.querySelectorAll(".plot")) starts[box.getAttribute("data-chart")](box);
  for (const table of document.querySelectorAll("table")) sortable(table);
  for (const chart of charts) chart.redraw();
  setView(0, data.span);
  status.textContent = "";

  let pending = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(() => { for (const chart of charts) if (Math.abs(chart.width - chart.box.clientWidth) > 1 && chart.box.clientWidth > 0) chart.redraw(); });
  }).observe(document.body);
  addEventListener("scroll", () => (focused && focused.node.isConnected ? tipOfFocus(focused) : hideTip()), {passive: true});
  // On paper everything is open, and the whole log is shown.
  const opened = [];
  addEventListener("beforeprint", () => {
    setView(0, data.span);
    for (const details of document.querySelectorAll("details:not([open])")) { details.open = true; opened.push(details); }
  });
  addEventListener("afterprint", () => { for (const details of opened.splice(0)) details.open = false; });
})();
