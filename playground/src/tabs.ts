/** Tabs, as the keyboard and screen readers expect them. */
import { button, h } from "./dom";

export interface TabOf<Name extends string> {
  readonly name: Name;
  readonly title: string;
}

/** A row of tabs over one panel. */
export class Tabs<Name extends string> {
  readonly element: HTMLElement;
  readonly #buttons = new Map<Name, HTMLButtonElement>();
  #selected: Name;

  /**
   * @param label what the row is called
   * @param panel the element below, whose content the chosen tab decides
   * @param chosen is told which tab somebody chose
   */
  constructor(
    label: string,
    tabs: readonly TabOf<Name>[],
    panel: HTMLElement,
    chosen: (name: Name) => void,
  ) {
    const first = tabs[0];
    if (!first) throw new Error("there is no tab");
    this.#selected = first.name;
    this.element = h("div", { role: "tablist", "aria-label": label, class: "tabs" });
    for (const { name, title } of tabs) {
      const tab = button(title, () => chosen(name), {
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": panel.id,
        data: { tab: name },
      });
      this.#buttons.set(name, tab);
      this.element.append(tab);
    }
    this.element.addEventListener("keydown", (event) => this.#moved(event, chosen));
    this.#panel = panel;
    this.select(first.name);
  }

  readonly #panel: HTMLElement;

  select(name: Name): void {
    this.#selected = name;
    for (const [other, tab] of this.#buttons) {
      tab.setAttribute("aria-selected", String(other === name));
      tab.tabIndex = other === name ? 0 : -1;
    }
    this.#panel.setAttribute("aria-labelledby", `tab-${name}`);
    // Of the tab alone: the page may not move.
    const tab = this.#buttons.get(name);
    if (tab)
      this.element.scrollLeft = tab.offsetLeft - (this.element.clientWidth - tab.offsetWidth) / 2;
  }

  /** A number behind the title, such as the findings; empty takes it away. */
  badge(name: Name, text: string, kind = ""): void {
    const tab = this.#buttons.get(name);
    tab?.querySelector(".badge")?.remove();
    if (text) tab?.append(h("span", { class: `badge ${kind}` }, text));
  }

  #moved(event: KeyboardEvent, chosen: (name: Name) => void): void {
    const names = [...this.#buttons.keys()];
    const at = names.indexOf(this.#selected);
    const to: Record<string, number> = {
      ArrowRight: (at + 1) % names.length,
      ArrowLeft: (at - 1 + names.length) % names.length,
      Home: 0,
      End: names.length - 1,
    };
    const name = names[to[event.key] ?? -1];
    if (!name) return;
    event.preventDefault();
    chosen(name);
    this.#buttons.get(name)?.focus();
  }
}
