/** The state in a link: behind the #, which no server sees. "#1." and base64url of deflated JSON. */
import { VERSION } from "../protocol";

/** Bytes of JSON that a link may unpack to: more than the bridge takes, and no gigabyte. */
const MOST_BYTES = 24_000_000;
/** Characters of a link: what browsers and mail programs still take whole. */
export const MOST_LINK = 32_000;

/** What a fragment holds: an example's name, a state (which nobody has looked at yet), or nothing. */
export type Held =
  | { readonly kind: "nothing" }
  | { readonly kind: "example"; readonly id: string; readonly view: string }
  | { readonly kind: "state"; readonly state: unknown };

/** A fragment that cannot be read; one sentence for people. */
export class BadLink extends Error {}

export async function packed(state: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return `#${VERSION}.${base64url(new Uint8Array(await new Response(stream).arrayBuffer()))}`;
}

export function forExample(id: string, view: string): string {
  return `#example=${encodeURIComponent(id)}${view === "findings" ? "" : `&view=${view}`}`;
}

/**
 * What a fragment holds. It may be anything: somebody may have written it to do harm.
 * @throws BadLink
 */
export async function read(fragment: string): Promise<Held> {
  const text = fragment.replace(/^#/, "");
  if (!text) return { kind: "nothing" };
  const example = /^example=([^&]{1,300})(?:&view=([a-z]{1,20}))?$/.exec(text);
  if (example) return { kind: "example", id: decoded(example[1] ?? ""), view: example[2] ?? "" };
  const [, version, data] = /^(\d{1,9})\.([A-Za-z0-9_-]*)$/.exec(text) ?? [];
  if (!version || data === undefined) {
    throw new BadLink(
      "This link is not one of the playground's: what stands behind the # cannot be read.",
    );
  }
  if (Number(version) !== VERSION) {
    throw new BadLink(
      `This link was made by another version of the playground (${version}; this is ${VERSION}), and cannot be read here.`,
    );
  }
  return { kind: "state", state: parsed(await unpacked(data)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Stops while it unpacks: a few kilobytes can hold a gigabyte of zeros. */
async function unpacked(data: string): Promise<string> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  let large = false;
  try {
    const stream = slices(fromBase64url(data)).pipeThrough(new DecompressionStream("deflate-raw"));
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.length;
      if (bytes > MOST_BYTES) {
        large = true;
        await reader.cancel();
        break;
      }
      parts.push(value);
    }
  } catch {
    throw new BadLink("This link is broken: a part of it is missing or was changed on its way.");
  }
  if (large)
    throw new BadLink("This link unpacks to more than the playground takes. It was not opened.");
  return new Blob(parts).text();
}

/** Little at a time: what one piece unpacks to, up to a thousand times its size, comes at once. */
function slices(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(sink) {
      if (at < bytes.length) sink.enqueue(bytes.slice(at, (at += 2048)));
      else sink.close();
    },
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadLink("This link is broken: what is in it is no state of the playground.");
  }
}

function base64url(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
