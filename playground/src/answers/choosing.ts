/** A choice among what there is, or something else that somebody writes. */
import { h } from "../dom";
import type { End } from "../protocol";

const OTHER = "\0other";

const KINDS: Readonly<Record<string, string>> = {
  outside: "Outside",
  node: "Nodes",
  pod: "Pods",
  nodePort: "Node ports",
  clusterIP: "Cluster IPs",
  externalIP: "External IPs",
  loadBalancerIP: "Load balancers",
};

export class Choosing {
  readonly element: HTMLElement;
  readonly #select = h("select", {});
  readonly #field: HTMLInputElement;
  #ends: readonly End[] = [];

  /**
   * @param hint what can be written instead
   * @param chosen is told the value
   */
  constructor(label: string, hint: string, chosen: (value: string) => void) {
    this.#field = h("input", {
      type: "text",
      "aria-label": `${label}: another`,
      placeholder: hint,
      size: 28,
      spellcheck: "false",
      hidden: true,
    });
    this.#select.addEventListener("change", () => {
      const other = this.#select.value === OTHER;
      this.#field.hidden = !other;
      if (other) this.#field.focus();
      else chosen(this.#select.value);
    });
    this.#field.addEventListener("change", () => chosen(this.#field.value.trim()));
    this.element = h(
      "div",
      { class: "choosing" },
      h("label", { class: "choice" }, h("span", {}, label), this.#select),
      this.#field,
    );
  }

  ends(ends: readonly End[], value: string): void {
    if (JSON.stringify(ends) !== JSON.stringify(this.#ends) || !this.#select.options.length) {
      this.#ends = ends;
      this.#select.replaceChildren(...groups(ends), h("option", { value: OTHER }, "Another …"));
    }
    this.value(value);
  }

  /** @param value empty: the first, which is what counts then */
  value(value: string): void {
    if (!this.#select.options.length) return;
    const known = !value || this.#ends.some((end) => end.value === value);
    this.#select.value = known ? value || (this.#ends[0]?.value ?? OTHER) : OTHER;
    const other = this.#select.value === OTHER;
    // Somebody who writes is not disturbed.
    if (other && value && !this.#field.matches(":focus")) this.#field.value = value;
    this.#field.hidden = !other;
  }
}

function groups(ends: readonly End[]): HTMLElement[] {
  const found = new Map<string, HTMLElement>();
  for (const end of ends) {
    const title = KINDS[end.kind] ?? end.kind;
    const group = found.get(title) ?? h("optgroup", { label: title });
    group.append(h("option", { value: end.value }, end.label));
    found.set(title, group);
  }
  return [...found.values()];
}
