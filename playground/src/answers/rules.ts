/** The rules of the node, each with the place in the input that it came from. */
import { copyable, open } from "../dialog";
import { button, counted, h } from "../dom";
import { Choice } from "../header";
import type { Chain, Choices, RuleLine, Rules, State } from "../protocol";
import type { Actions, ViewPart } from "./view";

/** What the tables are for, for who does not know them. */
const TABLES: Readonly<Record<string, string>> = {
  nat: "sends packets on to another address",
  filter: "lets packets pass, or refuses them",
};
/** Characters: more text than this is a file at once. */
const MOST_SHOWN = 300_000;

export class RulesView implements ViewPart<Rules> {
  readonly controls: HTMLElement;
  readonly element: HTMLElement;
  readonly #actions: Actions;
  readonly #service: Choice;
  readonly #list = h("div", { class: "chains" });
  readonly #back = h("p", { class: "back" });
  readonly #more = h("p", {});
  /** The lines that are shown, by the place that they came from: "web.yaml:14". */
  #places = new Map<string, HTMLElement[]>();
  #chains = new Map<string, HTMLElement>();
  #only = "";
  #cursor = "";
  /** The table that the last chain is of, and its line for chains without a rule. */
  #table = "";
  #empty: HTMLElement | null = null;

  constructor(actions: Actions) {
    this.#actions = actions;
    this.#service = new Choice("Service", (service) => {
      this.#only = service;
      this.#actions.again();
    });
    this.controls = h(
      "div",
      { class: "controls" },
      this.#service.element,
      button("As text", () => void this.#text(), { id: "rules-text" }),
      this.#back,
    );
    this.element = h("div", { class: "rules", id: "rules" }, this.#list, this.#more);
  }

  request(state: State) {
    return { ask: "rules", state, ...(this.#only ? { service: this.#only } : {}) } as const;
  }

  choices(choices: Choices): void {
    if (!choices.services.includes(this.#only)) this.#only = "";
    this.#service.show(
      [["", "all"], ...choices.services.map((name) => [name, name] as const)],
      this.#only,
    );
  }

  show(result: Rules, state: State): string {
    this.#places = new Map();
    this.#chains = new Map();
    this.#list.replaceChildren();
    this.#table = "";
    this.#add(result, state);
    this.#follow();
    return `${counted(result.lines, "rule")} in ${counted(result.count, "chain")} on ${result.node}, ${result.family}.`;
  }

  /** The cursor of the input is at a line: the rules that came from it are shown so. */
  at(file: string | null, line: number): void {
    this.#cursor = file === null ? "" : `${file}:${line}`;
    this.#follow();
  }

  #follow(): void {
    for (const line of this.#list.querySelectorAll(".from-cursor")) {
      line.classList.remove("from-cursor");
    }
    const found = this.#places.get(this.#cursor) ?? [];
    for (const line of found) line.classList.add("from-cursor");
    const [first] = found;
    this.#back.replaceChildren(
      first
        ? button(`${counted(found.length, "rule")} from ${this.#cursor}`, () => jump(first), {
            class: "link",
            id: "from-cursor",
          })
        : "Put the cursor on a line of the input to see its rules.",
    );
  }

  #add(result: Rules, state: State): void {
    for (const chain of result.chains) {
      if (chain.table !== this.#table) {
        this.#table = chain.table;
        this.#empty = null;
        const about = TABLES[chain.table];
        this.#list.append(
          h("h3", {}, `table ${chain.table}`, about ? h("span", {}, ` — ${about}`) : null),
        );
      }
      if (chain.lines.length) this.#list.append(this.#chain(chain));
      else this.#fold(chain);
    }
    const { next } = result;
    this.#more.replaceChildren();
    if (next !== null) {
      const words = `Show more: ${counted(result.count - next, "further chain")}`;
      this.#more.append(button(words, () => void this.#page(state, next), { id: "more-rules" }));
    }
  }

  async #page(state: State, first: number): Promise<void> {
    const request = { ...this.request(state), first };
    const result = await this.#actions.ask<Rules>(request);
    if (result) this.#add(result, state);
  }

  /** The chains of a table that have no rule are one line. */
  #fold(chain: Chain): void {
    this.#empty ??= h("p", { class: "empty" }, "Without a rule: ");
    if (!this.#empty.parentElement) this.#list.append(this.#empty);
    else this.#empty.append(", ");
    const name = h("code", { tabindex: "-1" }, chain.name);
    this.#empty.append(name);
    this.#chains.set(`${chain.table} ${chain.name}`, name);
  }

  /** All of it in its own order, to copy. */
  async #text(): Promise<void> {
    const request = { ...this.request(this.#actions.state), most: 0, whole: true };
    const result = await this.#actions.ask<Rules>(request);
    if (!result?.text) return;
    const name = `${result.node}.${result.family.toLowerCase()}.save`;
    const { text } = result;
    const save = () => this.#actions.save(name, "text/plain", text);
    if (text.length > MOST_SHOWN) return save();
    open(
      `The rules of ${result.node}, as iptables-save prints them`,
      "rules-as-text",
      copyable(text, "Rules", "rules-save"),
      h("p", { class: "row" }, button("Save as a file", save)),
    );
  }

  #chain(chain: Chain): HTMLElement {
    const element = h(
      "section",
      { class: "chain", tabindex: "-1", data: { chain: chain.name } },
      h(
        "h4",
        {},
        chain.name,
        chain.policy ? h("span", { class: "policy" }, ` policy ${chain.policy}`) : null,
      ),
      ...chain.lines.map((line) => this.#line(chain, line)),
    );
    this.#chains.set(`${chain.table} ${chain.name}`, element);
    return element;
  }

  #line(chain: Chain, line: RuleLine): HTMLElement {
    const element = h(
      "div",
      { class: "rule", tabindex: "-1" },
      h("code", {}, ...this.#words(chain, line.line)),
      this.#origin(line),
    );
    if (line.file && line.at) {
      const place = `${line.file}:${line.at}`;
      this.#places.set(place, [...(this.#places.get(place) ?? []), element]);
    }
    return element;
  }

  /** The line, with the chain that it jumps to as a link. */
  #words(chain: Chain, line: string): (Node | string)[] {
    const start = `-A ${chain.name} `;
    const rest = line.startsWith(start) ? line.slice(start.length) : line;
    const [, before = rest, target] = /^(.* -[jg] |-[jg] )(\S+)$/.exec(rest) ?? [];
    const own = line.startsWith(start) ? [h("span", { class: "faint" }, start)] : [];
    if (!target) return [...own, rest];
    const there = () => this.#chains.get(`${chain.table} ${target}`);
    return [
      ...own,
      before,
      button(
        target,
        () => {
          const element = there();
          if (element) jump(element);
        },
        { class: "link jump" },
      ),
    ];
  }

  #origin(line: RuleLine): HTMLElement | null {
    const { file, at } = line;
    const what = [
      line.service && `${line.service}${line.port ? `:${line.port}` : ""}`,
      line.endpoint,
    ]
      .filter(Boolean)
      .join(" → ");
    if (!what && !line.field) return null;
    const words = [line.field, file && at ? `${file}:${at}` : ""].filter(Boolean).join(" · ");
    return h(
      "span",
      { class: "origin" },
      what ? h("span", { class: "whose" }, what) : null,
      file && at
        ? button(words, () => this.#actions.goTo(file, at), {
            class: "link place",
            title: "Show it in the input",
            data: { file, line: String(at) },
          })
        : h("span", { class: "place" }, words),
    );
  }
}

function jump(element: HTMLElement): void {
  element.scrollIntoView({ block: "center" });
  element.focus({ preventScroll: true });
}
