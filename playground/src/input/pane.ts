/** The left half: tabs of input, the files of a tab, and the editor. */
import { button, h, size } from "../dom";
import type { Fix, Mark, State } from "../protocol";
import type { Store } from "../state";
import { Tabs } from "../tabs";
import { filesOf, freeName, keys, NAMED, shown, type Tab, TABS, withText } from "./documents";
import { Editor, type Place } from "./editor";
import { FileBar } from "./filebar";

const NAMES = Object.keys(TABS) as Tab[];

export interface InputEvents {
  /** Something could not be taken; one sentence. */
  refused(sentence: string): void;
  /** The cursor is at a line of a file of manifests, or of none. */
  moved(file: string | null, line: number): void;
  openFiles(tab: Tab): void;
  openFolder(tab: Tab): void;
}

export class InputPane {
  readonly #store: Store;
  readonly #events: InputEvents;
  readonly #tabs: Tabs<Tab>;
  readonly #bar: FileBar;
  readonly #editor: Editor;
  readonly #host = h("div", { class: "editor", id: "editor" });
  readonly #instead = h("div", { class: "instead prose", hidden: true });
  #tab: Tab = "files";
  /** The file that is shown, by tab. */
  readonly #current: Partial<Record<Tab, string>> = {};
  #marks: readonly Mark[] = [];

  constructor(place: HTMLElement, store: Store, events: InputEvents) {
    this.#store = store;
    this.#events = events;
    const panel = h("div", { role: "tabpanel", id: "input-panel", class: "panel" });
    const titles = NAMES.map((name) => ({ name, title: TABS[name].title }));
    this.#tabs = new Tabs("Input", titles, panel, (tab) => this.showTab(tab));
    this.#bar = new FileBar({
      chosen: (name) => this.#showFile(name),
      added: () => this.#add(),
      renamed: (from, to) => this.#rename(from, to),
      removed: (name) => this.#remove(name),
      openFiles: () => events.openFiles(this.#tab),
      openFolder: () => events.openFolder(this.#tab),
      undo: () => this.#editor.undo(),
      redo: () => this.#editor.redo(),
    });
    this.#editor = new Editor(this.#host, {
      changed: (key, text) => store.change(withText(store.state, key, text)),
      tooLarge: () =>
        events.refused(
          "That was not put in: the playground takes 16 million characters. The command line takes more.",
        ),
      moved: (key, line) => events.moved(key.startsWith("files/") ? key.slice(6) : null, line),
    });
    panel.append(this.#bar.element, this.#host, this.#instead);
    place.append(
      h("h2", { class: "unseen" }, "Input"),
      h("div", { class: "tabrow" }, this.#tabs.element, this.#bar.openers),
      panel,
    );
    store.on((_state, changed) => {
      if (["files", "config", "facts", "evidence"].some((key) => changed.has(key as keyof State))) {
        this.#show();
      }
    });
    this.#show();
  }

  get tab(): Tab {
    return this.#tab;
  }

  showTab(tab: Tab): void {
    this.#tab = tab;
    this.#show();
  }

  /** Other input came in whole: histories of the old one mean nothing for it. */
  renew(): void {
    this.#editor.forget();
    for (const tab of NAMES) delete this.#current[tab];
    const { state } = this.#store;
    const empty = !state.files.some((file) => file.base64 || file.text?.trim());
    this.#tab = empty && state.evidence.length ? "evidence" : "files";
    this.#marks = [];
    this.#show();
  }

  /** Underlines what was found, in whichever file it is. */
  mark(marks: readonly Mark[]): void {
    this.#marks = marks;
    this.#showMarks();
  }

  /** Brings a place into view. Returns false where there is no such file. */
  goTo(file: string, place: Place): boolean {
    const tab = this.#tabOf(file);
    if (!tab) return false;
    this.#tab = tab;
    this.#current[tab] = file;
    this.#show();
    this.#editor.goTo(place);
    return true;
  }

  /** Puts a safe change in. */
  apply(fix: Fix): void {
    if (this.goTo(fix.file, fix)) this.#editor.apply(fix);
  }

  #tabOf(file: string): Tab | null {
    const { state } = this.#store;
    for (const tab of ["files", "evidence"] as const) {
      if (filesOf(state, tab).some((one) => one.name === file)) return tab;
    }
    return NAMED[file] ?? null;
  }

  #showFile(name: string): void {
    this.#current[this.#tab] = name;
    this.#show();
  }

  #show(): void {
    const { state } = this.#store;
    const tab = this.#tab;
    const files = filesOf(state, tab);
    let name = this.#current[tab] ?? "";
    if (!files.some((file) => file.name === name)) name = files[0]?.name ?? "";
    this.#current[tab] = name;
    this.#tabs.select(tab);
    this.#badges(state);
    this.#bar.show(tab === "files" || tab === "evidence" ? files : null, name);
    const document = shown(state, tab, name);
    const text = document?.text ?? null;
    this.#host.hidden = text === null;
    this.#instead.hidden = text !== null;
    if (document && text !== null) {
      const { label } = document;
      this.#editor.show(document.key, text, {
        label,
        hint: TABS[tab].about,
        isYaml: tab !== "evidence",
      });
      this.#editor.keepOnly(keys(state));
      this.#showMarks();
    } else {
      this.#instead.replaceChildren(...this.#instruction(document !== null, name));
    }
  }

  #instruction(binary: boolean, name: string): Node[] {
    if (binary) {
      const held = filesOf(this.#store.state, this.#tab).find((file) => file.name === name);
      const bytes = ((held?.base64?.length ?? 0) * 3) / 4;
      return [h("p", {}, `${name} is no text (${size(Math.round(bytes))}). It is read as it is.`)];
    }
    return [
      h("p", {}, TABS[this.#tab].about),
      h("p", {}, "Nothing is here yet. Drop files on this page, or:"),
      h(
        "p",
        { class: "row" },
        button("Open files", () => this.#events.openFiles(this.#tab)),
        button("Write or paste", () => this.#add()),
      ),
    ];
  }

  #showMarks(): void {
    const document = shown(this.#store.state, this.#tab, this.#current[this.#tab] ?? "");
    if (document?.text == null) return;
    this.#editor.mark(this.#marks.filter((mark) => mark.file === document.file));
  }

  #badges(state: State): void {
    this.#tabs.badge("files", state.files.length > 1 ? String(state.files.length) : "");
    this.#tabs.badge("config", state.config.trim() ? "•" : "");
    this.#tabs.badge("facts", state.facts.trim() ? "•" : "");
    this.#tabs.badge("evidence", state.evidence.length ? String(state.evidence.length) : "");
  }

  #add(): void {
    const { state } = this.#store;
    const evidence = this.#tab === "evidence";
    const files = filesOf(state, this.#tab);
    const name = freeName(files, evidence ? "pasted.txt" : "manifest.yaml");
    this.#current[this.#tab] = name;
    const added = { name, text: "" };
    this.#store.change(
      evidence ? { evidence: [...state.evidence, added] } : { files: [...state.files, added] },
    );
  }

  #rename(from: string, to: string): void {
    const { state } = this.#store;
    const files = filesOf(state, this.#tab);
    if (!to || to === from) return;
    if (files.some((file) => file.name === to)) {
      this.#events.refused(`There is a file ${to} already.`);
      return;
    }
    this.#current[this.#tab] = to;
    const renamed = files.map((file) => (file.name === from ? { ...file, name: to } : file));
    this.#store.change({ [this.#tab]: renamed } as Partial<State>);
  }

  #remove(name: string): void {
    const files = filesOf(this.#store.state, this.#tab).filter((file) => file.name !== name);
    this.#store.change({ [this.#tab]: files } as Partial<State>);
  }
}
