/** What to report of a fault of ours; nothing of the input is in it. */
import { copyable } from "./dialog";
import { h } from "./dom";

/** Written in by the build: the versions that the page is made of. */
declare const VERSIONS: { readonly pyodide: string };

/** Its text, to copy. */
export function report(what: string): HTMLElement {
  const text = `${what}\nPyodide ${VERSIONS.pyodide}, ${navigator.userAgent}`;
  return h(
    "div",
    {},
    h("p", {}, "Please report this. Nothing of your input is in it:"),
    copyable(text, "What to report", "report"),
  );
}

/** It in a sentence, for what else there is on the page: what happened, and where. */
export function inShort(what: string): string {
  const [, name = "", ...places] = what.split("\n");
  return asSentence(`${name} ${places.at(-1)?.trim() ?? ""}`);
}

export function asSentence(what: string): string {
  return `Something went wrong in this page, which is a fault of ours; what you typed is still here. Please report: ${what}`;
}
