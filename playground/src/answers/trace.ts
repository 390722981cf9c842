/** The way of a packet: where it ends, with shares and reasons, and each rule that it meets. */
import { h, marked, sentence } from "../dom";
import type { Choices, Deciding, State, Trace, TraceAnswer, TraceCase, WayLine } from "../protocol";
import { Choosing } from "./choosing";
import { picture } from "./svg";
import { table } from "./table";
import type { Actions, ViewPart } from "./view";

export class TraceView implements ViewPart<Trace> {
  readonly controls: HTMLElement;
  readonly element = h("div", { class: "trace", id: "trace" });
  readonly #from: Choosing;
  readonly #to: Choosing;
  #wayOpen = false;

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
    const { answers } = result;
    this.element.replaceChildren(...answers.map((answer) => this.#answer(answer)));
    return answers.length > 1
      ? `${answers.map((answer) => `${answer.nodes}: ${answer.verdict}`).join("; ")}.`
      : `${sentence(answers[0]?.verdict ?? "")}.`;
  }

  /** The sentence first, then the rule that decides, and the rest on demand. */
  #answer(answer: TraceAnswer): HTMLElement {
    const open = answer.verdict.startsWith("depends") || answer.verdict.startsWith("not known");
    const kind = answer.arrives ? "good" : open ? "open" : "bad";
    return h(
      "section",
      { class: `answer ${kind}`, data: { nodes: answer.nodes, arrives: String(answer.arrives) } },
      h("h3", {}, `On ${answer.nodes}`),
      h(
        "p",
        { class: "verdict" },
        h("span", { class: `word ${kind}` }, answer.verdict),
        " ",
        ...marked(answer.sentence),
      ),
      answer.meaning ? h("p", { class: "meaning" }, answer.meaning) : null,
      answer.reasons.length
        ? h(
            "ul",
            { class: "reasons" },
            ...answer.reasons.map((reason) => h("li", {}, ...marked(reason))),
          )
        : null,
      ...answer.cases.map((one) => this.#case(answer, one)),
      answer.notes.length
        ? h("ul", { class: "beside" }, ...answer.notes.map((note) => h("li", {}, ...marked(note))))
        : null,
      later("The way as a picture", () => picture(answer.svg)),
    );
  }

  #case({ headings }: TraceAnswer, one: TraceCase): HTMLElement {
    const outcomes = table(headings, one.rows);
    // Where that is the whole answer, the sentence has said it.
    const few = one.rows.length === 1 && !one.condition;
    const rules = one.way.filter((line) => line.kind === "rule").length;
    const details = h(
      "details",
      { class: "way", open: this.#wayOpen },
      h("summary", {}, `Every rule on the way (${rules})`),
      few ? outcomes : null,
      way(one.way),
    );
    // Whoever wants to see it once wants to see it of the next packet, too.
    details.addEventListener("toggle", () => (this.#wayOpen = details.open));
    return h(
      "div",
      { class: "case" },
      one.condition ? h("h4", {}, ...marked(one.condition)) : null,
      one.decided ? decided(one.decided) : null,
      few ? null : outcomes,
      details,
    );
  }
}

function decided({ node, table, chain, line }: Deciding): HTMLElement {
  return h(
    "div",
    { class: "decided" },
    h("p", {}, "This rule decides it: on ", h("b", {}, node), `, table ${table}, chain ${chain}`),
    h("code", {}, line),
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
    { class: `step step-${line.kind}${line.decides ? " decides" : ""}` },
    text.trim(),
    line.decides ? h("span", { class: "unseen" }, " (this rule decides)") : null,
    line.note ? h("span", { class: "effect" }, ` ${line.note.replace(/^\[|\]$/g, "")}`) : null,
  );
  // Of the rules alone: half a character for each of the text's, so that much fits on a phone.
  if (line.kind === "rule") element.style.paddingLeft = `calc(${(indent - 4) / 2}ch + 4ch)`;
  return element;
}
