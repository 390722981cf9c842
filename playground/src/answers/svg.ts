/** A picture that the library drew. Only what it draws is let through, and text stays text. */

const ELEMENTS = new Set(["svg", "g", "rect", "path", "text", "tspan", "title"]);
const ATTRIBUTES = new Set(
  ["class", "role", "viewBox", "width", "height", "aria-label", "x", "y", "rx", "d", "id"].map(
    (name) => name.toLowerCase(),
  ),
);

/** The picture, in a shadow root of its own, where its styles need no permission of the page's policy. */
export function picture(svg: string): HTMLElement {
  const host = document.createElement("div");
  host.className = "picture";
  // It scrolls by the keyboard, too.
  host.tabIndex = 0;
  host.setAttribute("role", "group");
  host.setAttribute("aria-label", "Picture");
  const root = host.attachShadow({ mode: "open" });
  const styles = [":host{display:block}svg{display:block}"];
  // Before it is read: the page's policy refuses a style that stands in a document.
  const plain = svg.replace(/<style>([^<]*)<\/style>/g, (_whole, text: string) => {
    styles.push(text);
    return "";
  });
  const parsed = new DOMParser().parseFromString(plain, "image/svg+xml").documentElement;
  if (parsed.localName !== "svg") return host;
  root.adoptedStyleSheets = styles.map((text) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
    return sheet;
  });
  for (const element of [parsed, ...parsed.querySelectorAll("*")]) clean(element);
  root.append(document.importNode(parsed, true));
  return host;
}

function clean(element: Element): void {
  if (!ELEMENTS.has(element.localName)) {
    element.remove();
    return;
  }
  for (const { name } of [...element.attributes]) {
    if (!ATTRIBUTES.has(name.toLowerCase())) element.removeAttribute(name);
  }
}
