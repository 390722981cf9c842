/** The right half: one view at a time, and whether what it shows is true of the input beside it. */
import { button, counted, h, sentence } from "../dom";
import type { Fix, Note, Refusal, View } from "../protocol";
import { Tabs } from "../tabs";
import { problemList } from "./problems";
import type { Actions, ViewPart } from "./view";

export type Condition = "loading" | "stale" | "current" | "failed";

const VIEWS: readonly { name: View; title: string }[] = [
  { name: "findings", title: "Findings" },
  { name: "rules", title: "Rules" },
  { name: "graph", title: "Graph" },
  { name: "trace", title: "Trace" },
  { name: "reach", title: "Reach" },
  { name: "changes", title: "Changes" },
];

export const WORKING = "Working …";

export interface PaneEvents {
  chosen(view: View): void;
  stop(): void;
  again(): void;
  fix(fix: Fix): void;
  examples(): void;
}

export class AnswersPane {
  readonly tabs: Tabs<View>;
  readonly #place: HTMLElement;
  readonly #panel = h("div", {
    role: "tabpanel",
    id: "answer-panel",
    class: "panel",
    tabindex: "0",
  });
  readonly #status = h("p", { id: "status", role: "status" });
  readonly #stop: HTMLButtonElement;
  readonly #notes = h("ul", { class: "notes", "aria-label": "Notes" });
  readonly #above = h("div", { id: "above" });
  readonly #controls = h("div", {});
  readonly #body = h("div", { class: "body" });
  readonly #events: PaneEvents;
  readonly #actions: Actions;

  constructor(place: HTMLElement, events: PaneEvents, actions: Actions) {
    this.#place = place;
    this.#events = events;
    this.#actions = actions;
    this.tabs = new Tabs("Answers", VIEWS, this.#panel, (view) => events.chosen(view));
    this.#stop = button("Stop", () => events.stop(), { id: "stop", hidden: true });
    this.#panel.append(this.#controls, this.#body);
    place.append(
      h("h2", { class: "unseen" }, "Answers"),
      this.tabs.element,
      h("div", { class: "statusbar" }, this.#status, this.#stop),
      this.#above,
      this.#panel,
      this.#notes,
    );
  }

  /** Where what belongs to no view goes: the example's question, what another version does. */
  get above(): HTMLElement {
    return this.#above;
  }

  select(view: View, part: ViewPart<unknown>): void {
    this.tabs.select(view);
    if (this.#place.dataset.view !== view) this.#panel.scrollTop = 0;
    this.#place.dataset.view = view;
    put(this.#controls, part.controls);
    put(this.#body, part.element);
  }

  /** The answer that is shown is not known to be true of the input: somebody has changed it. */
  busy(condition: "loading" | "stale", words: string): void {
    this.#condition(condition);
    this.#status.textContent = words;
  }

  /** It takes long: one can stop it. */
  slow(): void {
    if (this.#place.getAttribute("aria-busy") !== "true") return;
    this.#stop.hidden = false;
    if (this.#status.textContent === WORKING) this.#status.textContent = "Still working …";
  }

  /** How far it is. */
  progress(words: string): void {
    this.#status.textContent = words;
  }

  current(words: string, notes: readonly Note[]): void {
    this.#condition("current");
    this.#status.textContent = words;
    this.#showNotes(notes);
  }

  /** The bridge refuses: the input has problems, or is too large, or we have a fault. */
  refused(refusal: Refusal): void {
    const elsewhere = refusal.instead.length > 0;
    this.#failed(elsewhere ? "elsewhere" : refusal.kind, statusOf(refusal));
    // Nothing of it can be chosen here.
    if (elsewhere) this.#controls.replaceChildren();
    this.#body.replaceChildren(problemList(refusal, this.#actions, this.#events.fix));
    this.#showNotes(refusal.notes);
  }

  /** Nothing was asked: there is no input. */
  empty(): void {
    const words = "Nothing to answer yet.";
    this.current(words, []);
    this.#controls.replaceChildren();
    this.#body.replaceChildren(
      h(
        "div",
        { class: "prose" },
        h("h2", {}, words),
        h(
          "p",
          {},
          "Write or paste manifests on the left, or drop files anywhere on this page: manifests, a folder of them, or what iptables-save prints on a node.",
        ),
        h("p", {}, "Or begin with one of the examples."),
        button("Examples", () => this.#events.examples(), { class: "primary" }),
      ),
    );
  }

  /** There is no answer, and it is not the input's doing. */
  broken(kind: string, sentence: string, detail: HTMLElement | null): void {
    this.#failed(kind, sentence);
    this.#body.replaceChildren(
      h(
        "div",
        { class: "prose failed" },
        h("p", {}, sentence),
        detail,
        button("Try again", () => this.#events.again(), { class: "primary" }),
      ),
    );
    this.#showNotes([]);
  }

  #failed(kind: string, words: string): void {
    this.#condition("failed");
    this.#place.dataset.kind = kind;
    this.#status.textContent = words;
  }

  #condition(condition: Condition): void {
    this.#place.dataset.state = condition;
    const busy = condition === "loading" || condition === "stale";
    this.#place.setAttribute("aria-busy", String(busy));
    if (!busy) this.#stop.hidden = true;
    if (condition !== "failed") delete this.#place.dataset.kind;
  }

  #showNotes(notes: readonly Note[]): void {
    this.#notes.replaceChildren(
      ...notes.map((note) => h("li", { class: `note ${note.kind}` }, note.text)),
    );
  }
}

function statusOf({ problems, instead, message }: Refusal): string {
  // Nothing is wrong with the input: it is another than this view needs.
  if (instead.length) return "This view has no answer to this input.";
  return problems.length
    ? `The input has ${counted(problems.length, "problem")}.`
    : `${sentence(message)}.`;
}

/** What is there already stays as it is, with the focus that it has. */
function put(place: HTMLElement, element: HTMLElement | undefined): void {
  if (place.firstChild === (element ?? null) && place.childNodes.length <= 1) return;
  place.replaceChildren(...(element ? [element] : []));
}
