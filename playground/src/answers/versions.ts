/** What another version of kube-proxy does differently. */
import { button, h } from "../dom";
import type { Versions } from "../protocol";
import { changes } from "./changes";

export function versions(result: Versions, close: () => void): HTMLElement {
  return h(
    "aside",
    { class: "question", id: "versions", "aria-label": "What differs between the versions" },
    h(
      "div",
      { class: "question-head" },
      h("span", { class: "eyebrow" }, `kube-proxy ${result.from} → ${result.to}`),
      button("×", close, { class: "close", "aria-label": "Hide what differs" }),
    ),
    h(
      "p",
      { class: result.rules.length ? "asked" : "" },
      result.rules.length
        ? `What differs for this input on ${result.to}`
        : `The rules for this input are the same on ${result.from} and ${result.to}.`,
    ),
    result.habits.length
      ? h(
          "ul",
          {},
          ...result.habits.map((habit) => h("li", {}, h("b", {}, habit.title), `: ${habit.means}`)),
        )
      : null,
    result.rules.length || result.sentences.length ? changes(result) : null,
  );
}
