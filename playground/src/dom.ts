/** Elements. Whatever comes from the input goes in as text: nothing here reads markup. */

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | null | undefined | ((event: Event) => void);

export interface Properties {
  readonly class?: string;
  readonly on?: Readonly<Record<string, (event: never) => void>>;
  readonly data?: Readonly<Record<string, string>>;
  readonly [attribute: string]: unknown;
}

/**
 * An element.
 * @param tag its name
 * @param properties attributes by name; `on` listeners by event; `data` for data-attributes;
 *   an attribute that is null, undefined or false is left out
 */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...children: readonly (Child | readonly Child[])[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(properties.on ?? {})) {
        element.addEventListener(event, listener as (event: Event) => void);
      }
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else {
      setAttribute(element, name, value as Value);
    }
  }
  element.append(...children.flat().filter(isThere));
  return element;
}

function setAttribute(element: HTMLElement, name: string, value: Value): void {
  if (value === null || value === undefined || value === false) return;
  element.setAttribute(name, value === true ? "" : String(value));
}

function isThere(child: Child): child is Node | string {
  return child !== null && child !== undefined && child !== false;
}

/** A button with words. */
export function button(
  words: string | readonly Child[],
  pressed: (event: MouseEvent) => void,
  properties: Properties = {},
): HTMLButtonElement {
  const children = typeof words === "string" ? [words] : words;
  return h("button", { type: "button", ...properties, on: { click: pressed } }, ...children);
}

/** The element of the page that has an id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** "1 error", "2 errors". */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** With a capital letter. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "812 bytes", "14 kB", "2.3 MB". */
export function size(bytes: number): string {
  if (bytes < 1000) return counted(bytes, "byte");
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Text, with what stands in `backquotes` as code. */
export function marked(text: string): (Node | string)[] {
  return text
    .split(/(`[^`]+`)/)
    .map((part) =>
      part.startsWith("`") && part.endsWith("`") ? h("code", {}, part.slice(1, -1)) : part,
    );
}
