// SPDX-License-Identifier: MIT
// The flame graph: commit charge by the stacks of the calls that asked for it.

const startStacks = (box) => {
  const root = {name: "all", weights: [data.stacks[1], data.stacks[2]], parent: null, depth: 0};
  const build = (parent, list) => list.map((raw) => {
    const node = {name: raw[0], weights: [raw[1], raw[2]], parent, depth: parent.depth + 1};
    node.children = build(node, raw[3]);
    return node;
  });
  root.children = build(root, data.stacks[3]);
  let which = data.stacks[2] > 0 ? 1 : 0;  // 0: granted in all, 1: still charged at one moment
  let top = root;
  if (!data.stacks[1] && !data.stacks[2]) return;
  const ROW = 19;
  const [GRANTED, THEN] = ["Charged in total", data.stacks_at_end ? "Still charged at the end" : "Still charged at the refusal"];
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
  const choices = [[GRANTED, "All that was charged, freed since or not", 0], [THEN, data.stacks_at_end ? "What was still charged at the end, or when its process ended" : "What was still charged at the moment of the address spaces above", 1]];
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
