/** Files of this folder, which are packed so that any server sends little. */
import { keep } from "../offline/keeping";
import type { Unpacked } from "./messages";

interface Part {
  readonly path: string;
  readonly bytes: number;
}

/** Written in by the build: where each file is, and its size as it is sent. */
declare const PARTS: { readonly wasm: Part; readonly library: Part; readonly packages: Part };

/** A file that could not be loaded. */
export class NotLoaded extends Error {}

/**
 * Loads and unpacks what Python is made of.
 * @param base the folder's address
 * @param progress is told how many bytes of how many have come
 */
export async function unpack(
  base: string,
  progress: (loaded: number, total: number) => void,
): Promise<Unpacked> {
  const total = PARTS.wasm.bytes + PARTS.library.bytes + PARTS.packages.bytes;
  let loaded = 0;
  const arrived = (bytes: number) => progress((loaded += bytes), total);
  const open = (part: Part) => stream(base, part.path, arrived);
  const [wasm, library, packages] = await Promise.all([
    open(PARTS.wasm).then((found) => WebAssembly.compileStreaming(asWasm(found))),
    open(PARTS.library).then((found) => new Response(found).arrayBuffer()),
    open(PARTS.packages).then((found) => new Response(found).arrayBuffer()),
  ]).catch((error: unknown) => {
    // Cut off on the way: it cannot be unpacked, or not be compiled, and Firefox says that it gave up.
    const cutOff = [TypeError, DOMException, WebAssembly.CompileError];
    throw cutOff.some((kind) => error instanceof kind) ? new NotLoaded(String(error)) : error;
  });
  return { wasm, library, packages };
}

function asWasm(content: ReadableStream<Uint8Array<ArrayBuffer>>): Response {
  return new Response(content, { headers: { "content-type": "application/wasm" } });
}

async function stream(
  base: string,
  path: string,
  arrived: (bytes: number) => void,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const address = new URL(path, base);
  const response = await fetch(address).catch((error: unknown) => {
    throw new NotLoaded(`${address.pathname}: ${String(error)}`);
  });
  if (!response.ok || !response.body) {
    throw new NotLoaded(`${address.pathname}: the server answered ${response.status}`);
  }
  void keep(base, address.href, response.clone());
  const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, sink) {
      arrived(chunk.byteLength);
      sink.enqueue(chunk);
    },
  });
  return unpackedWhereNeeded(response.body.pipeThrough(counted));
}

/** Some servers say of a .gz file that it is an encoding: the browser has unpacked it then. */
async function unpackedWhereNeeded(
  content: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const reader = content.getReader();
  const first = await reader.read();
  const start = first.value ?? new Uint8Array();
  const whole = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(sink) {
      sink.enqueue(start);
    },
    async pull(sink) {
      const next = await reader.read();
      if (next.done) sink.close();
      else sink.enqueue(next.value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  const packed = start[0] === 0x1f && start[1] === 0x8b;
  return packed ? whole.pipeThrough(new DecompressionStream("gzip")) : whole;
}
