/** The choices that hold for everything: the node, kube-proxy's version, the family. */
import { h } from "./dom";
import type { Choices, FamilyName, State } from "./protocol";
import type { Store } from "./state";

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
      const before = store.state.kubeProxyVersion || this.#choices?.kubeProxyVersion || "";
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

  #show(state: State): void {
    const choices = this.#choices;
    const nodes = choices?.nodes ?? [];
    const several = nodes.length > 1 ? "all nodes" : (choices?.node ?? "");
    this.#node.show([["", several || "—"], ...named(nodes.length > 1 ? nodes : [])], state.node);
    this.#version.show(
      [
        ["", choices ? `${choices.kubeProxyVersion} (newest)` : "newest"],
        ...named(choices?.kubeProxyVersions ?? []),
      ],
      state.kubeProxyVersion,
    );
    this.#family.show(named(choices?.families ?? ["IPv4", "IPv6"]), state.family);
  }
}

function named(values: readonly string[]): [string, string][] {
  return values.map((value) => [value, value]);
}
