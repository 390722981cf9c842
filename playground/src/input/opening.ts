/** Files come in: by a drop, by a choice, or as a saved state. */
import { byId, counted, h } from "../dom";
import type { HeldFile, State } from "../protocol";
import type { Tab } from "./documents";
import { chosen, dropped, NotRead, read } from "./reading";

const MANIFEST = /\.(ya?ml|json)$/i;

export interface OpeningEvents {
  refused(sentence: string): void;
  /** What others are added to. */
  base(): State;
  /** Files have come in, for this tab. */
  taken(patch: Partial<State>, tab: Tab, words: string): void;
  /** A file that was saved here; anything may be in it. */
  saved(text: string): void;
  tab(): Tab;
}

export class Openings {
  readonly #events: OpeningEvents;
  readonly #files = h("input", {
    type: "file",
    multiple: true,
    "aria-label": "Files",
    id: "file-input",
  });
  readonly #folder = h("input", { type: "file", "aria-label": "Folder", id: "folder-input" });
  readonly #saved = h("input", { type: "file", "aria-label": "Saved state", id: "saved-input" });
  #tab: Tab = "files";

  constructor(events: OpeningEvents) {
    this.#events = events;
    this.#folder.webkitdirectory = true;
    for (const input of [this.#files, this.#folder, this.#saved]) {
      input.hidden = true;
      document.body.append(input);
    }
    this.#whenChosen(this.#files, (found) => this.#take(found, this.#tab));
    this.#whenChosen(this.#folder, (found) => this.#take(found, this.#tab));
    this.#whenChosen(this.#saved, ([file]) => events.saved(file?.text ?? ""));
    this.#acceptDrops();
  }

  openFiles(tab: Tab): void {
    this.#tab = tab;
    this.#files.click();
  }

  openFolder(tab: Tab): void {
    this.#tab = tab;
    this.#folder.click();
  }

  openSaved(): void {
    this.#saved.click();
  }

  #whenChosen(input: HTMLInputElement, take: (files: readonly HeldFile[]) => void): void {
    input.addEventListener("change", () => {
      const found = chosen(input.files);
      void this.#reading(read(found).then(take));
      input.value = "";
    });
  }

  #acceptDrops(): void {
    const main = byId("main");
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    window.addEventListener("dragover", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      main.classList.add("dropping");
    });
    window.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) main.classList.remove("dropping");
    });
    // Before the editor, which would put a file's text in at the cursor.
    window.addEventListener(
      "drop",
      (event) => {
        main.classList.remove("dropping");
        if (!holdsFiles(event) || !event.dataTransfer) return;
        event.preventDefault();
        event.stopPropagation();
        const tab = this.#events.tab();
        const found = dropped(event.dataTransfer);
        void this.#reading(found.then(read).then((files) => this.#take(files, tab)));
      },
      { capture: true },
    );
  }

  async #reading(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!(error instanceof NotRead)) throw error;
      this.#events.refused(error.message);
    }
  }

  /** Into the tab that is open; of files for the manifests, what is none goes to the evidence. */
  #take(files: readonly HeldFile[], tab: Tab): void {
    const state = this.#events.base();
    const [first] = files;
    if (!first) return;
    if ((tab === "config" || tab === "facts") && first.text !== undefined && files.length === 1) {
      this.#events.taken({ [tab]: first.text }, tab, `${first.name} is here.`);
      return;
    }
    const manifests = tab === "evidence" ? [] : files.filter(isManifest);
    const evidence = files.filter((file) => !manifests.includes(file));
    const patch: Partial<State> = {
      ...(manifests.length ? { files: joined(state.files, manifests) } : {}),
      ...(evidence.length ? { evidence: joined(state.evidence, evidence) } : {}),
    };
    this.#events.taken(
      patch,
      manifests.length ? "files" : "evidence",
      `${counted(files.length, "file")} taken${
        manifests.length && evidence.length ? `, ${evidence.length} of them as evidence` : ""
      }.`,
    );
  }
}

function isManifest(file: HeldFile): boolean {
  return file.text !== undefined && MANIFEST.test(file.name);
}

/** New files take the place of old ones with their name; one that is empty gives way. */
function joined(old: readonly HeldFile[], added: readonly HeldFile[]): HeldFile[] {
  const names = new Set(added.map((file) => file.name));
  const kept = old.filter((file) => !names.has(file.name) && (file.base64 || file.text?.trim()));
  return [...kept, ...added];
}
