// SPDX-License-Identifier: MIT
// Address space: areas by charge, with the others of the same owner.

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
