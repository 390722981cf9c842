/** One sentence over the page, for what was not done. */
import { button, h } from "./dom";

export class Notice {
  readonly #place: HTMLElement;

  constructor(place: HTMLElement) {
    this.#place = place;
  }

  say(sentence: string): void {
    this.#place.replaceChildren(
      h("p", {}, sentence),
      button("×", () => this.clear(), { class: "close", "aria-label": "Close the message" }),
    );
    this.#place.hidden = false;
  }

  clear(): void {
    this.#place.hidden = true;
    this.#place.replaceChildren();
  }
}
