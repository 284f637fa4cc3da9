// SPDX-License-Identifier: MIT
// The timeline: Committed_AS against its limits, with refusals, forks and big mappings.

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
    ["Committed_AS, recorded", svg("circle", {class: "reading", cx: 11, cy: 6, r: 3})],
    ["not recorded between", svg("path", {class: "between", d: "M1 6H21"})],
    [rehearsed ? "limits" : "CommitLimit", svg("path", {class: "limit-line", d: "M1 6H21"})],
    ["refused, and what it asked for", svg("path", {class: "cap", d: "M11 0l6 11h-12z"})],
    ["fork passed", svg("circle", {cx: 11, cy: 6, r: 4.5, class: "mark fork"})],
    ["mapping of 1 MiB or more; hollow: not charged", svg("rect", {class: "mark map", x: 8, y: 0, width: 6, height: 12})],
  ]);
};
const legend = (box, entries) => {
  const list = html("ul", {class: "legend"});
  for (const [text, picture] of entries) list.append(html("li", {}, svg("svg", {viewBox: "0 0 22 12", "aria-hidden": "true"}, picture), text));
  box.append(list);
};
