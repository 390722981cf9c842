/** Plain tables. */
import { h } from "../dom";

type Cell = string | Node;

/** A table that scrolls in its own box where it is too wide. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
): HTMLElement {
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "group", "aria-label": "Table" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...headings.map((heading) => h("th", { scope: "col" }, heading)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell))))),
    ),
  );
}
