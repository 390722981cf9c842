/** The editor: CodeMirror, with one state for each document, so that each can be undone by itself. */
import { defaultKeymap, history, historyKeymap, redo, undo } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching,
  codeFolding,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorSelection, EditorState, type Extension, type Text } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Fix, Mark } from "../protocol";
import { EDITOR_THEME } from "./theme";

/** Characters of one document. The bridge takes as many of all together. */
export const MOST_CHARACTERS = 16_000_000;

/** A place in a document; lines and columns count from 1. */
export interface Place {
  readonly line: number;
  readonly column?: number | null;
  readonly endLine?: number | null;
  readonly endColumn?: number | null;
}

/** How a document is shown. */
export interface Look {
  readonly label: string;
  /** What stands there while it is empty. */
  readonly hint: string;
  readonly isYaml: boolean;
}

export interface EditorEvents {
  changed(key: string, text: string): void;
  tooLarge(): void;
  /** The cursor is at another line. */
  moved(key: string, line: number): void;
}

const HIGHLIGHTING = HighlightStyle.define([
  { tag: tags.comment, class: "tok-comment" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], class: "tok-key" },
  { tag: [tags.string, tags.special(tags.string)], class: "tok-string" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword, tags.atom], class: "tok-value" },
  { tag: [tags.meta, tags.separator, tags.punctuation], class: "tok-meta" },
]);

export class Editor {
  readonly #view: EditorView;
  readonly #kept = new Map<string, EditorState>();
  readonly #events: EditorEvents;
  #key = "";

  /** @param host gets a shadow root, where the editor's styles need no permission of the page's policy */
  constructor(host: HTMLElement, events: EditorEvents) {
    this.#events = events;
    const root = host.attachShadow({ mode: "open" });
    this.#view = new EditorView({ parent: root as unknown as Element, root });
  }

  /** Shows a document; one that was shown before comes with its history, unless its text is another now. */
  show(key: string, text: string, look: Look): void {
    if (this.#key !== key) {
      if (this.#key) this.#kept.set(this.#key, this.#view.state);
      this.#key = key;
    } else if (same(this.#view.state.doc, text)) {
      return;
    }
    const kept = this.#kept.get(key);
    const usable = kept && same(kept.doc, text);
    this.#view.setState(
      usable ? kept : EditorState.create({ doc: text, extensions: this.#extensions(look) }),
    );
    this.#kept.delete(key);
  }

  /** Forgets the histories of documents that are not there any more. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#kept.keys()) if (!keys.has(key)) this.#kept.delete(key);
  }

  /** Forgets everything: other input has come in whole. */
  forget(): void {
    this.#kept.clear();
    this.#key = "";
  }

  /** Underlines what was found in the document that is shown. */
  mark(marks: readonly Mark[]): void {
    const { doc } = this.#view.state;
    const diagnostics = marks.map((mark) => this.#diagnostic(doc, mark));
    this.#view.dispatch(setDiagnostics(this.#view.state, diagnostics));
  }

  /** Puts a safe change in, as one step that can be undone. */
  apply(fix: Fix): void {
    const { from, to } = range(this.#view.state.doc, fix);
    this.#view.dispatch({
      changes: { from, to, insert: fix.text },
      selection: EditorSelection.cursor(from + fix.text.length),
      effects: EditorView.scrollIntoView(from, { y: "center" }),
    });
    this.#view.focus();
  }

  /** Selects a place and brings it into view. */
  goTo(place: Place): void {
    const { from, to } = range(this.#view.state.doc, place);
    this.#view.dispatch({
      // The cursor at its beginning, or a long line would be moved aside.
      selection: EditorSelection.single(to, from),
      effects: EditorView.scrollIntoView(from, { y: "center" }),
    });
    this.#view.focus();
  }

  undo(): void {
    undo(this.#view);
    this.#view.focus();
  }

  redo(): void {
    redo(this.#view);
    this.#view.focus();
  }

  #diagnostic(doc: Text, mark: Mark): Diagnostic {
    const { from, to } = range(doc, mark);
    const { fix } = mark;
    return {
      from,
      to,
      severity: mark.severity,
      message: mark.message,
      actions: fix ? [{ name: fix.title, apply: () => this.apply(fix) }] : [],
    };
  }

  #extensions({ label, hint, isYaml }: Look): Extension {
    return [
      lineNumbers(),
      highlightActiveLineGutter(),
      lintGutter(),
      history(),
      drawSelection(),
      bracketMatching(),
      highlightActiveLine(),
      highlightSelectionMatches(),
      search({ top: true }),
      placeholder(hint),
      indentUnit.of("  "),
      isYaml ? [yaml(), codeFolding(), foldGutter()] : [],
      syntaxHighlighting(HIGHLIGHTING),
      EDITOR_THEME,
      EditorView.contentAttributes.of({
        "aria-label": `Editor: ${label}`,
        spellcheck: "false",
        tabindex: "0",
      }),
      // Tab leaves the editor, as it leaves every other field: nobody is shut in.
      keymap.of([
        ...defaultKeymap,
        ...searchKeymap,
        ...historyKeymap,
        ...foldKeymap,
        ...lintKeymap,
      ]),
      EditorView.domEventHandlers({ beforeinput: typedOver }),
      EditorState.changeFilter.of((transaction) => {
        if (transaction.newDoc.length <= MOST_CHARACTERS) return true;
        this.#events.tooLarge();
        return false;
      }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) this.#events.changed(this.#key, update.state.doc.toString());
        if (update.docChanged || update.selectionSet) {
          const at = update.state.selection.main.head;
          this.#events.moved(this.#key, update.state.doc.lineAt(at).number);
        }
      }),
    ];
  }
}

/**
 * What is typed over a selection. A browser would put it in with the style of what it replaces, as an
 * attribute, which the page's policy refuses.
 */
function typedOver(event: InputEvent, view: EditorView): boolean {
  const { data, inputType } = event;
  if (inputType !== "insertText" || !data || view.composing || view.state.selection.main.empty) {
    return false;
  }
  event.preventDefault();
  view.dispatch(view.state.replaceSelection(data), {
    userEvent: "input.type",
    scrollIntoView: true,
  });
  return true;
}

function same(doc: Text, text: string): boolean {
  return doc.length === text.length && doc.toString() === text;
}

/** Where a place is in a document, whatever it says; without a column, the line's text. */
function range(doc: Text, place: Place): { from: number; to: number } {
  const line = doc.line(Math.min(Math.max(place.line, 1), doc.lines));
  const indented = line.from + (/^\s*(- )?/.exec(line.text)?.[0].length ?? 0);
  const from = place.column ? Math.min(line.from + place.column - 1, line.to) : indented;
  if (!place.endLine || !place.endColumn) return { from, to: Math.max(from, line.to) };
  const last = doc.line(Math.min(Math.max(place.endLine, line.number), doc.lines));
  return { from, to: Math.max(from, Math.min(last.from + place.endColumn - 1, last.to)) };
}
