// SPDX-License-Identifier: MIT
// Draws the charts of a report from the document in the page. Text of the log only ever becomes the text of a node, never
// markup. Every mark can be reached by keyboard: Tab to a chart, arrows from mark to mark, + and - to zoom, Enter to go
// where a mark leads, Esc to go back. This is the last part of one script: embed.cmake lists them in order.

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
