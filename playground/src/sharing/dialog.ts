/** Sharing: a link, a file, and what this browser keeps where somebody asks it to. */
import { copyable, open, save } from "../dialog";
import { button, h, size } from "../dom";
import type { State } from "../protocol";
import { MOST_LINK, packed } from "./fragment";

const KEPT = "nptables-playground";

export interface SharingEvents {
  /** Opens a state that somebody saved; anything may be in it. */
  opened(text: string): void;
  chooseFile(): void;
}

export async function share(state: State, events: SharingEvents): Promise<void> {
  const link = location.href.replace(/#.*$/, "") + (await packed(state));
  const long = link.length > MOST_LINK;
  const file = () => save("playground.json", "application/json", JSON.stringify(state, null, 2));
  const dialog: HTMLDialogElement = open(
    "Share",
    "share",
    h(
      "p",
      {},
      "The link holds everything that is on the screen, packed behind the #. Browsers send that part to no server; who has the link has the input.",
    ),
    long
      ? h(
          "p",
          { class: "warn", id: "link-size" },
          `The link would have ${size(link.length)}, which many programs cut off. Save it as a file instead.`,
        )
      : h(
          "div",
          {},
          copyable(link, "Link", "link"),
          h("p", { id: "link-size" }, `The link has ${size(link.length)}.`),
        ),
    h("h3", {}, "As a file"),
    h(
      "p",
      { class: "row" },
      button("Save as a file", file),
      button("Open a saved file", () => {
        dialog.close();
        events.chooseFile();
      }),
    ),
    h("h3", {}, "In this browser"),
    keeping(state, (text) => {
      dialog.close();
      events.opened(text);
    }),
  );
}

function keeping(state: State, opened: (text: string) => void): HTMLElement {
  const said = h("span", { role: "status" });
  const kept = () => {
    try {
      return localStorage.getItem(KEPT);
    } catch {
      return null;
    }
  };
  const again = button("Open what is kept", () => opened(kept() ?? ""), { id: "open-kept" });
  const forget = button("Forget it", () => {
    localStorage.removeItem(KEPT);
    said.textContent = "Nothing is kept.";
    update();
  });
  const update = () => {
    again.hidden = forget.hidden = kept() === null;
  };
  const keep = button("Keep in this browser", () => {
    try {
      localStorage.setItem(KEPT, JSON.stringify(state));
      said.textContent = "Kept, until you have it forgotten.";
    } catch {
      said.textContent = "This browser does not keep it: it is too large, or not allowed.";
    }
    update();
  });
  update();
  return h(
    "div",
    {},
    h(
      "p",
      {},
      "Nothing is kept unless you ask for it. It stays on this machine, until you have it forgotten.",
    ),
    h("p", { class: "row" }, keep, again, forget, said),
  );
}
