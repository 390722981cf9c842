/** Asks for what is on the screen, whenever it changes; only the newest answer counts. */
import { type AnswersPane, WORKING } from "./answers/pane";
import type { ViewPart } from "./answers/view";
import { h } from "./dom";
import { report } from "./fault";
import { type Ended, NoReply, type Python } from "./python/client";
import { NO_CHOICES } from "./protocol";
import type {
  Answer,
  Choices,
  Findings,
  HeldFile,
  Mark,
  Note,
  Read,
  Refusal,
  Request,
  State,
  View,
} from "./protocol";
import type { Store } from "./state";

/** After this time without an answer, in ms, it is said that it takes long, and can be stopped. */
const LONG = 1200;
/** While somebody types, in ms, a half-written line is no news. */
const TYPING = 700;

/** Characters: more input than this is parsed piece by piece. */
const MUCH = 100_000;

/** Why there is no answer, in a sentence. */
export const BROKEN: Readonly<Record<Exclude<Ended, "overtaken">, string>> = {
  webassembly:
    "The program cannot run here: this browser has no WebAssembly, or it is switched off, or the browser is too old. The command line can do the same.",
  file: "A file of this page could not be loaded. Check the connection, and try again.",
  memory:
    "The browser has not enough memory for this. Close other tabs, make the input smaller, or use the command line.",
  fault: "The program has stopped, which is a fault of ours. What you typed is still here.",
  stopped: "Stopped. What you typed is still here.",
};

export interface Parts {
  readonly store: Store;
  readonly python: Python;
  readonly pane: AnswersPane;
  readonly views: Readonly<Record<View, ViewPart<unknown>>>;
  marked(marks: readonly Mark[], findings: Findings | null): void;
  chosen(choices: Choices): void;
  /** A fault of ours in what is asked beside the view. */
  faulty(refusal: Refusal): void;
}

function detailOf({ ended, detail }: NoReply): HTMLElement | null {
  if (ended === "fault") return report(detail);
  return ended === "file" ? h("pre", {}, detail) : null;
}

function size({ files, config, facts, evidence }: State): number {
  const of = (file: HeldFile) => (file.text ?? file.base64 ?? "").length;
  return [...files, ...evidence].reduce(
    (sum, file) => sum + of(file),
    config.length + facts.length,
  );
}

function isEmpty({ files, config, facts, evidence }: State): boolean {
  const blank = (file: HeldFile) => !file.base64 && !file.text?.trim();
  return files.every(blank) && evidence.every(blank) && !config.trim() && !facts.trim();
}

/** What an answer depends on, but for the view. */
type Round = { readonly revision: number; readonly state: State };

export class Asking {
  readonly #parts: Parts;
  #timer = 0;
  #long = 0;
  #late = 0;
  #lastChange = -TYPING;
  #took = 0;
  /** The revision of the input that each view's answer belongs to. */
  readonly #answered = new Map<View, { revision: number; words: string; notes: readonly Note[] }>();
  #beside = -1;

  constructor(parts: Parts) {
    this.#parts = parts;
    parts.store.on((state, changed) => {
      if (changed.size === 1 && changed.has("view")) this.#otherView(state.view);
      else this.#changed(changed);
    });
  }

  /** Shows the view of the state, and asks. */
  begin(): void {
    const { view } = this.#parts.store.state;
    this.#parts.pane.select(view, this.#parts.views[view]);
    this.#parts.pane.busy("loading", "Loading the program …");
    this.#ask();
  }

  /** Asks again for what is on the screen, after it failed. */
  again(): void {
    this.#answered.clear();
    this.#beside = -1;
    this.#parts.pane.busy("stale", WORKING);
    this.#ask();
  }

  #otherView(view: View): void {
    const { pane, views, store } = this.#parts;
    pane.select(view, views[view]);
    const answered = this.#answered.get(view);
    if (answered?.revision === store.revision) {
      pane.current(answered.words, answered.notes);
      return;
    }
    pane.busy(this.#answered.size ? "stale" : "loading", WORKING);
    this.#ask();
  }

  #changed(changed: ReadonlySet<keyof State>): void {
    const { pane, store, views } = this.#parts;
    const { view } = store.state;
    if (changed.has("view")) pane.select(view, views[view]);
    pane.busy(this.#answered.size ? "stale" : "loading", WORKING);
    window.clearTimeout(this.#late);
    const typed = changed.size === 1;
    if (typed) this.#lastChange = performance.now();
    window.clearTimeout(this.#timer);
    // Where an answer takes long, one for each key is too many.
    this.#timer = window.setTimeout(
      () => this.#ask(),
      typed ? Math.min(20 + this.#took / 2, 400) : 0,
    );
  }

  #ask(): void {
    window.clearTimeout(this.#timer);
    window.clearTimeout(this.#late);
    const { store, pane } = this.#parts;
    const round = { revision: store.revision, state: store.state };
    window.clearTimeout(this.#long);
    this.#long = window.setTimeout(() => {
      if (this.#isNewest(round)) pane.slow();
    }, LONG);
    void this.#round(round);
  }

  async #round(round: Round): Promise<void> {
    const { views, chosen, marked, faulty } = this.#parts;
    const { state } = round;
    try {
      const begun = performance.now();
      if (isEmpty(state)) {
        this.#parts.pane.empty();
        marked([], null);
        chosen(NO_CHOICES);
        // What was chosen belonged to input that is gone. Nothing changes where nothing was.
        this.#parts.store.change({ node: "", from: "", to: "", service: "" });
        return;
      }
      if (size(state) > MUCH && !(await this.#readAhead(round))) return;
      const view = views[state.view];
      const request = view.request(state);
      let findings: Answer<unknown> | null = null;
      if (request) {
        const answer = await this.#reply(request);
        if (!this.#isNewest(round)) return;
        this.#show(round, answer);
        if (state.view === "findings" || !answer.ok) findings = answer;
      } else {
        this.#current(round, view.idle?.(state) ?? "", []);
      }
      this.#took = performance.now() - begun;
      if (this.#beside === round.revision) return;
      const choices = await this.#reply({ ask: "choices", state });
      if (!this.#isNewest(round)) return;
      if (choices.ok) chosen(choices.result as Choices);
      else if (choices.kind === "fault") faulty(choices);
      else if (choices.instead.length) chosen(NO_CHOICES);
      findings ??= await this.#reply({ ask: "findings", state });
      if (!this.#isNewest(round)) return;
      this.#beside = round.revision;
      if (findings.ok) {
        const found = findings.result as Findings;
        marked(found.marks, found);
      } else {
        marked(findings.marks, null);
      }
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      if (error.ended === "overtaken" || !this.#isNewest(round)) return;
      this.#answered.delete(state.view);
      this.#parts.pane.broken(
        error.ended === "stopped" ? "stopped" : "broken",
        BROKEN[error.ended],
        detailOf(error),
      );
    }
  }

  /** Has much input parsed piece by piece: it can be stopped between, and it is said how far it is. */
  async #readAhead(round: Round): Promise<boolean> {
    for (;;) {
      const answer = await this.#reply({ ask: "read", state: round.state });
      if (!this.#isNewest(round)) return false;
      const { read, total } = answer.ok ? (answer.result as Read) : { read: 0, total: 0 };
      // What cannot be read, the view says.
      if (!answer.ok || read >= total) return true;
      this.#parts.pane.progress(`Reading the input: ${Math.floor((100 * read) / total)} %`);
    }
  }

  async #reply(request: Request): Promise<Answer<unknown>> {
    const text = await this.#parts.python.ask("answers", JSON.stringify(request));
    return JSON.parse(text) as Answer<unknown>;
  }

  #show(round: Round, answer: Answer<unknown>): void {
    if (answer.ok) {
      const { view } = round.state;
      const part = this.#parts.views[view];
      this.#parts.pane.select(view, part);
      this.#current(round, part.show(answer.result, round.state), answer.notes);
      return;
    }
    const rest = TYPING - (performance.now() - this.#lastChange);
    if (answer.kind === "input" && rest > 0) {
      this.#late = window.setTimeout(() => this.#refused(round, answer), rest);
    } else {
      this.#refused(round, answer);
    }
  }

  #current(round: Round, words: string, notes: readonly Note[]): void {
    this.#answered.set(round.state.view, { revision: round.revision, words, notes });
    this.#parts.pane.current(words, notes);
  }

  #refused(round: Round, refusal: Refusal): void {
    if (!this.#isNewest(round)) return;
    this.#answered.delete(round.state.view);
    this.#parts.pane.refused(refusal);
  }

  #isNewest({ revision, state }: Round): boolean {
    const { store } = this.#parts;
    return store.revision === revision && store.state.view === state.view;
  }
}
