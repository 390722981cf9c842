/** A dialog over the page. */
import { button, h } from "./dom";

/** Opens a dialog; Escape, its button, and a press beside it close it. */
export function open(
  title: string,
  id: string,
  ...content: readonly (Node | string)[]
): HTMLDialogElement {
  const heading = h("h2", { id: `${id}-title` }, title);
  const dialog = h(
    "dialog",
    { id, "aria-labelledby": heading.id, class: "dialog" },
    h(
      "div",
      { class: "dialog-head" },
      heading,
      button("Close", () => dialog.close()),
    ),
    h("div", { class: "dialog-body" }, ...content),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** A text to copy, with a button that does it. */
export function copyable(text: string, label: string, id: string): HTMLElement {
  const shown = h("pre", { id, tabindex: "0", "aria-label": label, class: "copyable" }, text);
  const said = h("span", { role: "status" });
  const copy = button("Copy", () => {
    navigator.clipboard?.writeText(text).then(
      () => (said.textContent = "Copied."),
      () => {
        // Without the permission: what is selected can be copied by hand.
        getSelection()?.selectAllChildren(shown);
        said.textContent = "Selected: copy it with Ctrl+C.";
      },
    );
  });
  return h("div", { class: "copy" }, shown, h("p", { class: "row" }, copy, said));
}

/** Gives somebody a file. */
export function save(name: string, type: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: address, download: name }).click();
  // The download has begun when the page has time again.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
