// SPDX-License-Identifier: MIT
// Tables that can be sorted.

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
