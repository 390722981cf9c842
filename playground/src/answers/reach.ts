/** Who answers where: nodes by Services. */
import { button, counted, h } from "../dom";
import type { Reach, ReachCell, ReachRow, State } from "../protocol";
import { field, head } from "./table";
import type { Actions, ViewPart } from "./view";

/** More nodes than these are shown in groups that fare alike. */
const MOST_COLUMNS = 8;
/** Services that are asked for at once: of more the table grows, and can be stopped. */
const AT_ONCE = 50;
/** Those that are asked for first: so few are there at once. */
const AT_FIRST = 10;
const SERVICE = "Service port";
const AT = "asked at";
const ALIKE = "nodes that fare alike";

export class ReachView implements ViewPart<Reach> {
  readonly element = h("div", { class: "reach", id: "reach" });
  readonly #actions: Actions;
  readonly #more = h("p", { class: "row" });
  #body = h("tbody", {});
  #columns: readonly string[] | null = null;
  #rows = 0;
  #bad = 0;
  /** What is asked for belongs to this; another one has taken its place, or somebody stopped it. */
  #going: symbol | null = null;

  constructor(actions: Actions) {
    this.#actions = actions;
  }

  request(state: State) {
    return { ask: "reach", state, first: 0, most: AT_FIRST } as const;
  }

  show(result: Reach, state: State): string {
    const { nodes } = result.document;
    this.#columns = nodes.length <= MOST_COLUMNS ? nodes : null;
    this.#body = h("tbody", { role: "rowgroup" });
    this.#rows = this.#bad = 0;
    const headings = [SERVICE, AT, ...(this.#columns?.map((node) => `on ${node}`) ?? [ALIKE])];
    this.element.replaceChildren(
      h(
        "div",
        { class: "wide", tabindex: "0", role: "group", "aria-label": "Who answers where" },
        h("table", { class: "matrix", role: "table" }, head(headings), this.#body),
      ),
      this.#more,
    );
    this.#add(result);
    void this.#go(result, state);
    return this.#words(result);
  }

  /** Asks for the further Services, as long as the answer on the screen is this one. */
  async #go(result: Reach, state: State): Promise<void> {
    const going = (this.#going = Symbol("going"));
    let last = result;
    while (last.next !== null) {
      const first = last.next;
      const done = `${first.toLocaleString("en")} of ${counted(last.count, "Service")} …`;
      this.#more.replaceChildren(
        done,
        button("Stop here", () => this.#stop(last, state)),
      );
      const request = { ...this.request(state), first, most: AT_ONCE };
      const next = await this.#actions.ask<Reach>(request);
      if (this.#going !== going || this.#actions.state !== state) return;
      if (!next) return this.#stop(last, state);
      this.#add(next);
      this.#actions.tell(this.#words(next));
      last = next;
    }
    this.#more.replaceChildren();
  }

  #stop(last: Reach, state: State): void {
    this.#going = null;
    this.#more.replaceChildren(
      `${(last.next ?? last.count).toLocaleString("en")} of ${counted(last.count, "Service")}.`,
      button("Go on", () => void this.#go(last, state)),
    );
  }

  #add(result: Reach): void {
    this.#body.append(...result.rows.map((row) => this.#row(row, this.#columns)));
    this.#rows += result.rows.length;
    this.#bad += result.rows.filter((row) => row.cells.some((cell) => !cell.good)).length;
  }

  #words({ document: { from, nodes }, next }: Reach): string {
    if (!this.#rows) return "There is no Service to reach.";
    const all = counted(this.#rows, "Service port");
    const some = next === null ? all : `${all} so far`;
    return this.#bad
      ? `${this.#bad} of ${some} ${this.#bad === 1 ? "does" : "do"} not answer everywhere, for a packet from ${from}.`
      : `${some} on ${counted(nodes.length, "node")}: each answers everywhere, for a packet from ${from}.`;
  }

  #row(row: ReachRow, columns: readonly string[] | null): HTMLElement {
    const cells = columns
      ? columns.map((node) => {
          const cell = row.cells.find((one) => one.nodes.includes(node));
          return field(`on ${node}`, cell ? this.#cell(row, cell, node, "") : null);
        })
      : [
          field(
            ALIKE,
            ...row.cells.map((cell) =>
              this.#cell(row, cell, cell.nodes[0] ?? "", `${cell.label}: `),
            ),
          ),
        ];
    return h(
      "tr",
      { role: "row", data: { service: row.name } },
      h("th", { scope: "row", role: "rowheader" }, h("div", { class: "name" }, row.name)),
      field(AT, row.to),
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
