/** The files of a tab: choose, add, rename, remove; and what is done with the text. */
import { button, h } from "../dom";

export interface FileBarEvents {
  chosen(name: string): void;
  added(): void;
  renamed(from: string, to: string): void;
  removed(name: string): void;
  openFiles(): void;
  openFolder(): void;
  undo(): void;
  redo(): void;
}

export class FileBar {
  readonly element = h("div", { class: "filebar" });
  /** Beside the tabs: what opens files for the one that is shown. */
  readonly openers: HTMLElement;
  readonly #list = h("div", { class: "files", role: "group", "aria-label": "Files" });
  readonly #add: HTMLButtonElement;
  readonly #rename: HTMLButtonElement;
  readonly #remove: HTMLButtonElement;
  readonly #events: FileBarEvents;
  #current = "";

  constructor(events: FileBarEvents) {
    this.#events = events;
    this.#add = button("+", () => events.added(), { "aria-label": "New file", title: "New file" });
    this.#rename = button("Rename", () => this.#edit());
    this.#remove = button("Remove", () => events.removed(this.#current));
    this.openers = h(
      "div",
      { class: "tools" },
      button("Open files", () => events.openFiles()),
      button("Open a folder", () => events.openFolder()),
    );
    this.element.append(
      this.#list,
      h(
        "div",
        { class: "tools" },
        this.#rename,
        this.#remove,
        button("Undo", () => events.undo(), { title: "Undo (Ctrl+Z)" }),
        button("Redo", () => events.redo(), { title: "Redo (Ctrl+Y)" }),
      ),
    );
  }

  /** @param files null: the tab holds one text without a name */
  show(files: readonly { name: string }[] | null, current: string): void {
    this.#current = current;
    this.#rename.hidden = this.#remove.hidden = !files?.length;
    this.#list.replaceChildren(
      ...(files ?? []).map(({ name }) =>
        button(name, () => this.#events.chosen(name), {
          class: "file",
          "aria-current": name === current ? "true" : null,
          data: { file: name },
        }),
      ),
      ...(files ? [this.#add] : []),
    );
  }

  #edit(): void {
    const old = this.#current;
    const field = h("input", { type: "text", "aria-label": "New name of the file", value: old });
    let open = true;
    const close = (name: string) => {
      if (!open) return;
      open = false;
      field.remove();
      this.element.classList.remove("renaming");
      this.#events.renamed(old, name.trim());
      this.#rename.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      // Or the key would press the button that has the focus then.
      event.preventDefault();
      close(event.key === "Enter" ? field.value : old);
    });
    field.addEventListener("blur", () => close(field.value));
    this.#list.append(field);
    field.focus();
    field.select();
  }
}
