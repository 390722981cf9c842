/** A Service as a graph. */
import { open } from "../dialog";
import { button, h } from "../dom";
import { Choice } from "../header";
import type { Choices, Graph, State } from "../protocol";
import { picture } from "./svg";
import type { Actions, ViewPart } from "./view";

export class GraphView implements ViewPart<Graph> {
  readonly controls: HTMLElement;
  readonly element = h("div", { class: "graph", id: "graph" });
  readonly #actions: Actions;
  readonly #service: Choice;

  constructor(actions: Actions) {
    this.#actions = actions;
    this.#service = new Choice("Service", (service) => actions.change({ service }));
    this.controls = h("div", { class: "controls" }, this.#service.element);
  }

  request(state: State) {
    return { ask: "graph", state, down: true } as const;
  }

  choices(choices: Choices, state: State): void {
    this.#service.show(
      choices.services.map((name) => [name, name]),
      state.service || (choices.services[0] ?? ""),
    );
  }

  show(result: Graph): string {
    const name = result.service.replace("/", "-");
    const save = (ending: string, type: string, content: string) =>
      button(ending.toUpperCase(), () => this.#actions.save(`${name}.${ending}`, type, content), {
        "aria-label": `Save as ${ending}`,
      });
    this.element.replaceChildren(
      h("div", { class: "drawn" }, picture(result.svg)),
      h(
        "p",
        { class: "row" },
        "Save as",
        save("svg", "image/svg+xml", result.svg),
        save("dot", "text/vnd.graphviz", result.dot),
        save("mmd", "text/plain", result.mermaid),
        button("Enlarge", () => void open(result.service, "enlarged", picture(result.svg))),
      ),
      h(
        "details",
        {},
        h("summary", {}, "The graph as text"),
        h("p", { class: "lines" }, result.text),
      ),
    );
    return `The graph of ${result.service}.`;
  }
}
