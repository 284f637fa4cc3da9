// SPDX-License-Identifier: MIT
// Processes: a bar from birth to end, each beneath its parent.

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
        rows: [["end", life.fate], ["started", clock(life.from, 6)], ["ended", life.to === null ? "" : clock(life.to, 6)], ["lived", life.to === null || life.others ? "" : duration(life.to - life.from)],
          ["last record", life.to === null ? clock(life.last, 6) : ""], ["started by", life.made], ["forks", life.forks ? grouped(life.forks) : ""],
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
