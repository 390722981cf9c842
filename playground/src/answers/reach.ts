/** Who answers where: nodes by Services. */
import { button, counted, h } from "../dom";
import type { Reach, ReachCell, ReachRow, State } from "../protocol";
import type { Actions, ViewPart } from "./view";

/** More nodes than these are shown in groups that fare alike. */
const MOST_COLUMNS = 8;
/** More rows than these are shown when somebody asks. */
const MOST_ROWS = 300;

export class ReachView implements ViewPart<Reach> {
  readonly element = h("div", { class: "reach", id: "reach" });
  readonly #actions: Actions;

  constructor(actions: Actions) {
    this.#actions = actions;
  }

  request(state: State) {
    return { ask: "reach", state } as const;
  }

  show(result: Reach): string {
    const { nodes } = result.document;
    const columns = nodes.length <= MOST_COLUMNS ? nodes : null;
    const body = h("tbody", {});
    const more = h("p", {});
    const add = (first: number) => {
      body.append(
        ...result.rows.slice(first, first + MOST_ROWS).map((row) => this.#row(row, columns)),
      );
      const rest = result.rows.length - first - MOST_ROWS;
      more.replaceChildren();
      if (rest > 0) {
        more.append(
          button(`Show more: ${counted(rest, "further row")}`, () => add(first + MOST_ROWS)),
        );
      }
    };
    add(0);
    const headings = ["Service", "at", ...(columns ?? ["nodes that fare alike"])];
    this.element.replaceChildren(
      h(
        "div",
        { class: "wide", tabindex: "0", role: "region", "aria-label": "Who answers where" },
        h(
          "table",
          { class: "matrix" },
          h(
            "thead",
            {},
            h("tr", {}, ...headings.map((heading) => h("th", { scope: "col" }, heading))),
          ),
          body,
        ),
      ),
      more,
    );
    const bad = result.rows.filter((row) => row.cells.some((cell) => !cell.good)).length;
    const all = counted(result.rows.length, "Service port");
    if (!result.rows.length) return "There is no Service to reach.";
    return bad
      ? `${bad} of ${all} ${bad === 1 ? "does" : "do"} not answer everywhere, for a packet from ${result.document.from}.`
      : `${all} on ${counted(nodes.length, "node")}: each answers everywhere, for a packet from ${result.document.from}.`;
  }

  #row(row: ReachRow, columns: readonly string[] | null): HTMLElement {
    const cells = columns
      ? columns.map((node) => {
          const cell = row.cells.find((one) => one.nodes.includes(node));
          return h("td", {}, cell ? this.#cell(row, cell, node, "") : null);
        })
      : [
          h(
            "td",
            {},
            ...row.cells.map((cell) =>
              this.#cell(row, cell, cell.nodes[0] ?? "", `${cell.label}: `),
            ),
          ),
        ];
    return h(
      "tr",
      { data: { service: row.name } },
      h("th", { scope: "row" }, h("div", { class: "name" }, row.name)),
      h("td", {}, row.to),
      ...cells,
    );
  }

  #cell(row: ReachRow, cell: ReachCell, node: string, label: string): HTMLElement {
    const { destination } = row;
    const words = [
      h("b", {}, label, cell.fares),
      h("span", {}, cell.why || cell.text.replace(/^[^:]*: /, "")),
    ];
    const properties = {
      class: `cell ${cell.good ? "good" : "bad"}`,
      data: { node, fares: cell.fares },
    };
    if (!destination) return h("div", properties, ...words);
    return button(words, () => this.#actions.enter({ node, to: destination, view: "trace" }), {
      ...properties,
      title: "Follow a packet there",
    });
  }
}
