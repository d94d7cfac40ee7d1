"""The one script a report may hold: a click on the head of a column sorts a table.

It is part of the page, a few lines, and the page's security policy names its hash: nothing else runs. Without scripts
the page reads the same, in the order in which it was written.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["SORTING", "SORTING_SOURCE"]

SORTING = """\
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => row.cells[i].textContent.trim();
  const number = (text) => parseFloat(text.replace(/[,<>+\\s]/g, ""));
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rows = [...table.tBodies[0].rows];
      const filled = rows.filter((row) => !/^[\\u2013-]?$/.test(value(row, i)));
      const empty = rows.filter((row) => !filled.includes(row));
      const numeric = filled.every((row) => !Number.isNaN(number(value(row, i))));
      const was = head.getAttribute("aria-sort");
      const up = was === null ? !numeric : was === "descending";
      const order = (a, b) => numeric
        ? number(value(a, i)) - number(value(b, i))
        : value(a, i).localeCompare(value(b, i), "en", { numeric: true });
      filled.sort((a, b) => up ? order(a, b) : order(b, a));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      table.tBodies[0].append(...filled, ...empty);
    });
  });
}
"""
"""What stands between the script tags."""

SORTING_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(SORTING.encode()).digest()).decode('ascii')}'"
"""How a security policy allows this script and no other."""
