/** The way of a packet: where it ends, with shares and reasons, and each rule that it meets. */
import { h, sentence } from "../dom";
import type { Choices, State, Trace, TraceAnswer, TraceCase, WayLine } from "../protocol";
import { Choosing } from "./choosing";
import { picture } from "./svg";
import { table } from "./table";
import type { Actions, ViewPart } from "./view";

export class TraceView implements ViewPart<Trace> {
  readonly controls: HTMLElement;
  readonly element = h("div", { class: "trace", id: "trace" });
  readonly #from: Choosing;
  readonly #to: Choosing;

  constructor(actions: Actions) {
    this.#from = new Choosing("From", "10.244.1.7, pod/shop/web-1", (from) =>
      actions.change({ from }),
    );
    this.#to = new Choosing("To", "nodeport:30080, svc/shop/web:80, 10.0.0.1:80", (to) =>
      actions.change({ to }),
    );
    this.controls = h("div", { class: "controls" }, this.#from.element, this.#to.element);
  }

  request(state: State) {
    return { ask: "trace", state, down: true } as const;
  }

  choices(choices: Choices, state: State): void {
    this.#from.ends(choices.senders, state.from);
    this.#to.ends(choices.destinations, state.to);
  }

  show(result: Trace, state: State): string {
    this.#from.value(state.from);
    this.#to.value(state.to);
    const several = result.answers.length > 1;
    this.element.replaceChildren(...result.answers.map((answer) => trace(answer, several)));
    return several
      ? `${result.answers.map((answer) => `${answer.nodes}: ${verdict(answer).words}`).join("; ")}.`
      : `${sentence(verdict(result.answers[0]).words)}.`;
  }
}

/** "arrives: web, one of 2 endpoints": the first words, and the rest. */
function verdict(answer: TraceAnswer | undefined): { words: string; rest: string; kind: string } {
  const [, words = "", rest = ""] = /^([^:;,]*)[:;,]? ?(.*)$/s.exec(answer?.answer ?? "") ?? [];
  const open = words.startsWith("depends") || words.startsWith("not known");
  return { words, rest, kind: answer?.arrives ? "good" : open ? "open" : "bad" };
}

function trace(answer: TraceAnswer, several: boolean): HTMLElement {
  const { words, rest, kind } = verdict(answer);
  return h(
    "section",
    { class: `answer ${kind}`, data: { nodes: answer.nodes, arrives: String(answer.arrives) } },
    several ? h("h3", {}, `On ${answer.nodes}`) : null,
    h("p", { class: "verdict" }, h("span", { class: `word ${kind}` }, words), " ", rest),
    answer.reasons.length
      ? h("ul", { class: "reasons" }, ...answer.reasons.map((reason) => h("li", {}, reason)))
      : null,
    ...answer.cases.map((one) => outcome(answer, one, several)),
    answer.notes.length
      ? h("ul", { class: "beside" }, ...answer.notes.map((note) => h("li", {}, note)))
      : null,
    later("The way as a picture", () => picture(answer.svg)),
  );
}

function outcome(answer: TraceAnswer, one: TraceCase, several: boolean): HTMLElement {
  return h(
    "div",
    { class: "case" },
    one.condition ? h("h4", {}, one.condition) : null,
    table(
      answer.headings.map((heading) => heading.toLowerCase()),
      one.rows,
    ),
    h(
      "details",
      { class: "way", open: !several || !answer.arrives },
      h("summary", {}, "The way, rule by rule"),
      way(one.way),
    ),
  );
}

/** What is made when somebody wants to see it. */
export function later(title: string, make: () => Node): HTMLElement {
  const details = h("details", { class: "later" }, h("summary", {}, title));
  details.addEventListener("toggle", () => details.append(make()), { once: true });
  return details;
}

/** The bars of the text become nested blocks, so that long rules wrap within theirs. */
function way(lines: readonly WayLine[]): HTMLElement {
  const root = h("div", { class: "steps" });
  const open: HTMLElement[] = [root];
  for (const line of lines) {
    const [bars = ""] = /^(\| {2})*/.exec(line.text) ?? [];
    const depth = bars.length / 3;
    open.length = Math.min(open.length, depth + 1);
    const text = line.text.slice(bars.length);
    const block = open[open.length - 1] ?? root;
    if (line.kind === "branch") {
      const branch = h(
        "div",
        { class: "branch" },
        h("p", { class: "share" }, text.replace(/^\+- /, "")),
      );
      block.append(branch);
      open.push(branch);
    } else {
      block.append(step(line, text));
    }
  }
  return root;
}

function step(line: WayLine, text: string): HTMLElement {
  const indent = text.length - text.trimStart().length;
  const element = h(
    "p",
    { class: `step step-${line.kind}` },
    text.trim(),
    line.note ? h("span", { class: "effect" }, ` ${line.note.replace(/^\[|\]$/g, "")}`) : null,
  );
  // Of the rules alone: half a character for each of the text's, so that much fits on a phone.
  if (line.kind === "rule") element.style.paddingLeft = `calc(${(indent - 4) / 2}ch + 4ch)`;
  return element;
}
