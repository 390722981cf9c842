/** What the page and the worker that holds Python say to each other. */

/** Files that were unpacked once: a worker that starts anew takes them from the one before. */
export interface Unpacked {
  readonly wasm: WebAssembly.Module;
  readonly library: ArrayBuffer;
  readonly packages: ArrayBuffer;
}

export type ToWorker =
  | {
      readonly kind: "start";
      readonly base: string;
      readonly unpacked: Unpacked | null;
      /** The name of a lock that the worker holds as long as it lives. */
      readonly lock: string;
    }
  | { readonly kind: "ask"; readonly id: number; readonly request: string };

export type FromWorker =
  | { readonly kind: "locked" }
  | { readonly kind: "progress"; readonly loaded: number; readonly total: number }
  | { readonly kind: "unpacked"; readonly unpacked: Unpacked }
  | { readonly kind: "ready" }
  | { readonly kind: "reply"; readonly id: number; readonly reply: string }
  | { readonly kind: "broken"; readonly reason: Broken; readonly detail: string };

/** Why there is no Python: each is one sentence on the page. */
export type Broken = "webassembly" | "file" | "memory" | "fault";

/** What an error is, by its words, in which browsers differ. */
export function reasonIn(words: string): Broken {
  return /memory|allocat|RangeError/i.test(words) ? "memory" : "fault";
}
