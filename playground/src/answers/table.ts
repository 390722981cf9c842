/** Plain tables. */
import { h } from "../dom";

type Cell = string | Node;

/**
 * A table that scrolls in its own box where it is too wide. On a phone each row is a list, where
 * every cell says what it is: roles are named, since what is laid out otherwise loses them.
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
): HTMLElement {
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "group", "aria-label": "Table" },
    h(
      "table",
      { role: "table" },
      head(headings),
      h(
        "tbody",
        { role: "rowgroup" },
        ...rows.map((row) =>
          h("tr", { role: "row" }, ...row.map((cell, at) => field(headings[at] ?? "", cell))),
        ),
      ),
    ),
  );
}

export function head(headings: readonly string[]): HTMLElement {
  return h(
    "thead",
    { role: "rowgroup" },
    h(
      "tr",
      { role: "row" },
      ...headings.map((heading) => h("th", { scope: "col", role: "columnheader" }, heading)),
    ),
  );
}

/** A cell under a heading. */
export function field(heading: string, ...content: readonly (Cell | null)[]): HTMLElement {
  return h("td", { role: "cell", data: { heading } }, ...content);
}
