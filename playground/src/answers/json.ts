/** An answer as it is. */
import { h } from "../dom";
import type { Ask, State } from "../protocol";
import type { ViewPart } from "./view";

export class JsonView implements ViewPart<unknown> {
  readonly element = h("pre", { tabindex: "0" });

  constructor(readonly ask: Ask) {}

  request(state: State) {
    return { ask: this.ask, state };
  }

  show(result: unknown): string {
    this.element.textContent = JSON.stringify(result, null, 1);
    return "";
  }
}
