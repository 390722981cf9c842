/** What packets notice of an edit. */
import { button, counted, h, sentence } from "../dom";
import type { Before, Changes, State } from "../protocol";
import type { Actions, ViewPart } from "./view";

export class ChangesView implements ViewPart<Changes> {
  readonly controls: HTMLElement;
  readonly element = h("div", { class: "changes", id: "changes" });
  readonly #actions: Actions;
  readonly #said = h("p", { class: "dim said" });
  readonly #restore: HTMLButtonElement;
  readonly #unmark: HTMLButtonElement;
  #state: State | null = null;

  constructor(actions: Actions) {
    this.#actions = actions;
    this.#restore = button("Go back to it", () => {
      if (this.#state?.before) actions.change(this.#state.before);
    });
    this.#unmark = button("Forget it", () => actions.change({ before: null }));
    this.controls = h(
      "div",
      { class: "controls" },
      button("Mark as before", () => this.#mark(), { class: "primary", id: "mark-before" }),
      this.#restore,
      this.#unmark,
      this.#said,
    );
  }

  request(state: State) {
    this.#describe(state);
    if (!state.before && !state.evidence.length) return null;
    return { ask: "changes", state } as const;
  }

  idle(): string {
    this.element.replaceChildren();
    return "Nothing is marked as before.";
  }

  show(result: Changes): string {
    this.element.replaceChildren(changes(result));
    return `${sentence(result.summary)}.`;
  }

  #mark(): void {
    const { state } = this.#actions;
    this.#actions.change({ before: inputsOf(state) });
  }

  #describe(state: State): void {
    this.#state = state;
    this.#restore.hidden = this.#unmark.hidden = !state.before;
    this.#said.textContent = state.before
      ? "What packets notice of your edits since you marked the input:"
      : state.evidence.length
        ? "What packets notice of the difference between the node's rules and those that the manifests ask for:"
        : "Mark the input as it is now. Then change something on the left: here stands what packets notice of it.";
  }
}

/** The part of a state that decides rules. */
function inputsOf(state: State): Before {
  const { files, config, facts, evidence, node, kubeProxyVersion } = state;
  return { files, config, facts, evidence, node, kubeProxyVersion };
}

/** Effects first, the rules behind a click. */
export function changes(result: Changes): HTMLElement {
  const count = result.rules.filter(
    (line) => line.kind === "added" || line.kind === "removed",
  ).length;
  return h(
    "div",
    {},
    result.sentences.length
      ? h("ul", { class: "effects" }, ...result.sentences.map((sentence) => h("li", {}, sentence)))
      : h(
          "p",
          { class: "none" },
          `${count ? "The rules differ, but packets" : "Packets"} notice nothing.`,
        ),
    result.rules.length
      ? h(
          "details",
          { class: "later", open: result.rules.length < 40 },
          h("summary", {}, `The rules: ${counted(count, "changed line")}`),
          h(
            "div",
            { class: "diff" },
            ...result.rules.map((line) => h("p", { class: line.kind }, line.text)),
          ),
          result.more ? h("p", { class: "dim" }, `and ${counted(result.more, "more line")}`) : null,
        )
      : null,
  );
}
