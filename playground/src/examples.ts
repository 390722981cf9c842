/** The examples: a question first, and the answer a click away. */
import { open } from "./dialog";
import { button, h, marked } from "./dom";
import type { Example } from "./protocol";

/** Written in by the build: what the bridge answers to "examples". */
declare const EXAMPLES: string;

export async function loadExamples(): Promise<readonly Example[]> {
  const response = await fetch(new URL(EXAMPLES, document.baseURI));
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return (await response.json()) as Example[];
}

/** The menu. */
export function choose(
  examples: readonly Example[],
  events: { chosen(example: Example): void; empty(): void },
): void {
  const groups = new Map<string, Example[]>();
  for (const example of examples) {
    groups.set(example.group, [...(groups.get(example.group) ?? []), example]);
  }
  const dialog: HTMLDialogElement = open(
    "Examples",
    "examples",
    h(
      "p",
      { class: "row" },
      "Each asks a question first.",
      button(
        "Start with nothing instead",
        () => {
          dialog.close();
          events.empty();
        },
        { class: "link", id: "start-empty" },
      ),
    ),
    ...[...groups].map(([group, members]) =>
      h(
        "section",
        {},
        h("h3", {}, group),
        h(
          "ul",
          { class: "examples" },
          ...members.map((example) =>
            h(
              "li",
              {},
              button(
                [h("b", {}, example.title), h("span", {}, example.question)],
                () => {
                  dialog.close();
                  events.chosen(example);
                },
                { class: "example", "aria-label": example.title, data: { example: example.id } },
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/** The question of an example, above the answers. */
export function question(
  example: Example,
  next: Example | undefined,
  events: { next(example: Example): void; close(): void },
): HTMLElement {
  return h(
    "aside",
    {
      class: "question",
      id: "question",
      tabindex: "-1",
      "aria-label": "Example",
      data: { example: example.id },
    },
    h(
      "div",
      { class: "question-head" },
      h("span", { class: "eyebrow" }, `Example · ${example.title}`),
      next
        ? button(`Next: ${next.title}`, () => events.next(next), {
            class: "link",
            id: "next-example",
          })
        : null,
      button("×", events.close, { class: "close", "aria-label": "Hide the question" }),
    ),
    h("p", { class: "asked" }, example.question),
    h(
      "details",
      { id: "example-answer" },
      h("summary", {}, "Show the answer"),
      h("p", {}, ...marked(example.answer)),
    ),
  );
}
