/** The choices that hold for everything: the node, kube-proxy's version, the family. */
import { h, sentence } from "./dom";
import { type Choices, type FamilyName, NO_CHOICES, type State } from "./protocol";
import type { Store } from "./state";

/** Before the first answer: what comes then has its place already. */
const UNKNOWN: Choices = { ...NO_CHOICES, node: "…", kubeProxyUsual: "…" };

/** A choice with its label. */
export class Choice {
  readonly element: HTMLElement;
  readonly #select = h("select", {});

  constructor(label: string, chosen: (value: string) => void) {
    this.#select.addEventListener("change", () => chosen(this.#select.value));
    this.element = h("label", { class: "choice" }, h("span", {}, label), this.#select);
  }

  /** @param options value and words; a value that is chosen and is not among them is added */
  show(options: readonly (readonly [string, string])[], value: string): void {
    const all = options.some(([one]) => one === value)
      ? options
      : [...options, [value, value] as const];
    // A list that is open closes where it is filled anew.
    const now = [...this.#select.options]
      .map((option) => `${option.value}\n${option.text}`)
      .join("\0");
    if (now !== all.map(([one, words]) => `${one}\n${words}`).join("\0")) {
      this.#select.replaceChildren(
        ...all.map(([one, words]) => h("option", { value: one }, words)),
      );
    }
    this.#select.value = value;
  }

  /** Why it is so: for the pointer, and for a screen reader. */
  explain(why: string): void {
    this.#select.title = why;
  }

  set hidden(hidden: boolean) {
    this.element.hidden = hidden;
  }
}

export class Header {
  readonly element: HTMLElement;
  readonly #node: Choice;
  readonly #version: Choice;
  readonly #family: Choice;
  #choices: Choices | null = null;

  constructor(store: Store, versionChanged: (before: string) => void) {
    this.#node = new Choice("Node", (node) => store.change({ node }));
    this.#version = new Choice("kube-proxy", (kubeProxyVersion) => {
      const before = store.state.kubeProxyVersion || (this.#choices?.kubeProxyVersion ?? "");
      store.change({ kubeProxyVersion });
      versionChanged(before);
    });
    this.#family = new Choice("Family", (family) => store.change({ family: family as FamilyName }));
    this.element = h(
      "div",
      { class: "choices" },
      this.#node.element,
      this.#version.element,
      this.#family.element,
    );
    store.on((state) => this.#show(state));
    this.#show(store.state);
  }

  choices(choices: Choices, state: State): void {
    this.#choices = choices;
    this.#show(state);
  }

  /** Where there is nothing to choose from, there is no choice. */
  #show(state: State): void {
    const { nodes, node, families, kubeProxyVersions, ...choices } = this.#choices ?? UNKNOWN;
    this.#node.hidden = !node && !state.node;
    this.#node.show(
      nodes.length > 1
        ? [["", state.evidence.length ? `${node} (by the evidence)` : "all nodes"], ...named(nodes)]
        : [["", node]],
      nodes.length < 2 && state.node === node ? "" : state.node,
    );
    this.#version.hidden = !choices.kubeProxyUsual && !state.kubeProxyVersion;
    this.#version.show(
      [["", choices.kubeProxyUsual], ...named(kubeProxyVersions)],
      state.kubeProxyVersion,
    );
    this.#version.explain(state.kubeProxyVersion ? "" : sentence(choices.kubeProxyWhy));
    this.#family.hidden = families.length < 2 && state.family === (families[0] ?? "IPv4");
    this.#family.show(named(families), state.family);
  }
}

function named(values: readonly string[]): [string, string][] {
  return values.map((value) => [value, value]);
}
