/** What is wrong with the input. */
import { button, counted, h } from "../dom";
import type { Finding, Findings, Fix, Mark, State } from "../protocol";
import { place } from "./problems";
import type { Actions, ViewPart } from "./view";

const SEVERITIES = ["error", "warning", "info"] as const;

export class FindingsView implements ViewPart<Findings> {
  readonly element = h("div", { class: "findings", id: "findings" });
  readonly #actions: Actions;
  readonly #apply: (fix: Fix) => void;

  constructor(actions: Actions, apply: (fix: Fix) => void) {
    this.#actions = actions;
    this.#apply = apply;
  }

  request(state: State) {
    return { ask: "findings", state } as const;
  }

  show(result: Findings): string {
    const fixes = new Map(result.marks.map((mark) => [mark.finding, mark]));
    this.element.replaceChildren(
      ...result.document.findings.map((finding, at) => this.#card(finding, fixes.get(at))),
    );
    const words = summary(result.document.findings);
    if (!result.document.findings.length) this.element.append(h("p", { class: "empty" }, words));
    return words;
  }

  #card(finding: Finding, mark: Mark | undefined): HTMLElement {
    const object = [finding.namespace, finding.object].filter(Boolean).join("/");
    const fix = mark?.fix;
    return h(
      "article",
      { class: `finding ${finding.severity}`, data: { code: finding.code } },
      h(
        "p",
        { class: "where" },
        h("span", { class: `severity ${finding.severity}` }, finding.severity),
        h("b", {}, `${finding.kind} ${object}`),
        place(finding.file, finding.line, this.#actions, finding.column),
        h("span", { class: "code", title: finding.name }, finding.code),
      ),
      h("p", { class: "message" }, h("code", {}, finding.field), " ", finding.message),
      h("p", {}, finding.effect),
      h("p", { class: "remedy" }, finding.remedy),
      fix
        ? button(fix.title, () => this.#apply(fix), { class: "fix", data: { fix: finding.code } })
        : null,
    );
  }
}

/** "1 error, 2 warnings." */
export function summary(findings: readonly Finding[]): string {
  if (!findings.length) return "Nothing found: no mistake that nptables knows is in this input.";
  const parts = SEVERITIES.map((severity) => {
    const number = findings.filter((finding) => finding.severity === severity).length;
    return number ? counted(number, severity, severity === "info" ? "info" : `${severity}s`) : "";
  });
  return `${parts.filter(Boolean).join(", ")}.`;
}
