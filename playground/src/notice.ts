/** One sentence over the page. */
import { button, h } from "./dom";

/** How long it is said that something was done, in ms. */
const SHORT = 6000;

export class Notice {
  readonly #place: HTMLElement;
  #timer = 0;

  constructor(place: HTMLElement) {
    this.#place = place;
  }

  /** What is said now. */
  get said(): string {
    return this.#place.querySelector("p")?.textContent ?? "";
  }

  /** Something was not done. It stays until somebody closes it. */
  say(sentence: string): void {
    this.#show(sentence, "alert");
  }

  /** Something was done. */
  tell(sentence: string): void {
    this.#show(sentence, "status");
    this.#timer = window.setTimeout(() => this.clear(), SHORT);
  }

  clear(): void {
    window.clearTimeout(this.#timer);
    this.#place.hidden = true;
    this.#place.replaceChildren();
  }

  #show(sentence: string, role: "alert" | "status"): void {
    this.clear();
    this.#place.setAttribute("role", role);
    this.#place.hidden = false;
    this.#place.append(
      h("p", {}, sentence),
      button("×", () => this.clear(), { class: "close", "aria-label": "Close the message" }),
    );
  }
}
