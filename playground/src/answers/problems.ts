/** Why there is no answer. */
import { button, h, marked, sentence } from "../dom";
import { report } from "../fault";
import type { Fix, Problem, Refusal } from "../protocol";
import type { Actions } from "./view";

export function problemList(
  refusal: Refusal,
  actions: Actions,
  apply: (fix: Fix) => void,
): HTMLElement {
  if (refusal.kind === "fault") return fault(refusal);
  if (refusal.instead.length) return elsewhere(refusal, actions);
  if (!refusal.problems.length) return h("div", { class: "prose" }, h("p", {}, refusal.message));
  const item = (problem: Problem) => {
    const fix = refusal.marks.find(
      (mark) => mark.fix && mark.file === problem.file && mark.line === problem.line,
    )?.fix;
    return h(
      "li",
      { class: "finding" },
      ...parts(problem, actions),
      fix ? button(fix.title, () => apply(fix), { class: "fix" }) : null,
    );
  };
  return h("ul", { class: "problems" }, ...refusal.problems.map(item));
}

/** What can be asked instead, where nothing is wrong with the input. */
function elsewhere({ problems, instead }: Refusal, actions: Actions): HTMLElement {
  return h(
    "div",
    { class: "prose" },
    ...problems.flatMap(({ file, message, hint }) => [
      h("h3", {}, file ? `${file}: ${message}.` : `${sentence(message)}.`),
      h("p", {}, ...marked(`${sentence(hint)}.`)),
    ]),
    h(
      "p",
      { class: "row" },
      ...instead.map((one) => button(one.title, () => actions.instead(one))),
    ),
  );
}

function parts(problem: Problem, actions: Actions): Node[] {
  const where = place(problem.file, problem.line, actions, problem.column);
  const object = [problem.kind, [problem.namespace, problem.name].filter(Boolean).join("/")]
    .filter(Boolean)
    .join(" ");
  return [
    h(
      "p",
      { class: "where" },
      h("span", { class: "severity error" }, "problem"),
      h("b", {}, object),
      where,
    ),
    h("p", {}, problem.field ? h("code", {}, problem.field) : null, " ", problem.message),
    ...(problem.hint ? [h("p", { class: "hint" }, ...marked(problem.hint))] : []),
  ];
}

/** "web.yaml:14", which leads there. */
export function place(
  file: string | null,
  line: number | null,
  actions: Actions,
  column?: number | null,
): Node | null {
  if (!file) return null;
  if (!line) return h("code", {}, file);
  return button(`${file}:${line}`, () => actions.goTo(file, line, column), {
    class: "link place",
    title: "Show it in the input",
    data: { file, line: String(line) },
  });
}

function fault(refusal: Refusal): HTMLElement {
  return h("div", { class: "prose failed" }, h("p", {}, refusal.message), report(refusal.report));
}
