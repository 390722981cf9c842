/** The worker that holds Python: it answers one request after the other. */
import type { PyodideAPI } from "pyodide";
import { loadPyodide } from "pyodide";
import createPyodideModule from "pyodide/pyodide.asm.mjs";
import { type Broken, type FromWorker, reasonIn, type ToWorker, type Unpacked } from "./messages";
import { NotLoaded, unpack } from "./unpacking";

/** Written in by the build: for which Python Pyodide was made. */
declare const LOCK: {
  arch: "wasm32";
  abi_version: string;
  platform: string;
  version: string;
  python: string;
};
declare const VERSIONS: { readonly nptables: string };

type Answer = (request: string) => string;

let answer: Answer | null = null;

const say = (message: FromWorker) => self.postMessage(message);

self.onmessage = async (event: MessageEvent<ToWorker>) => {
  const message = event.data;
  try {
    if (message.kind === "start") {
      holdLock(message.lock);
      answer = await start(message.base, message.unpacked);
      say({ kind: "ready" });
    } else if (answer) {
      say({ kind: "reply", id: message.id, reply: answer(message.request) });
    }
  } catch (error) {
    say({ kind: "broken", reason: reasonOf(error), detail: reportOf(error) });
  }
};

/** A worker that is ended from outside can say nothing; but its locks are free then. */
function holdLock(name: string): void {
  // Without encryption there are none; and who keeps nothing of a server may have none either.
  navigator.locks
    ?.request(name, () => {
      say({ kind: "locked" });
      return new Promise(() => undefined);
    })
    .catch(() => undefined);
}

async function start(base: string, given: Unpacked | null): Promise<Answer> {
  let unpacked = given;
  if (!unpacked) {
    unpacked = await unpack(base, (loaded, total) => say({ kind: "progress", loaded, total }));
    say({ kind: "unpacked", unpacked });
  }
  const python = await started(unpacked);
  seal();
  // Python imports from the archive: to unpack it takes longer.
  python.FS.writeFile("/packages", new Uint8Array(unpacked.packages));
  const found = python.runPython(`
import gc, sys
sys.path.insert(0, "/packages")
sys.dont_write_bytecode = True
from nptables.playground import answer
gc.collect()
gc.freeze()
answer
`) as Answer;
  return found;
}

/** Pyodide, with the files that are here instead of those that it would load. */
async function started(unpacked: Unpacked): Promise<PyodideAPI> {
  const { fetch, WebAssembly: wasm } = self;
  const streaming = wasm.instantiateStreaming;
  self.fetch = async (what) =>
    new Response(String(what).endsWith(".zip") ? unpacked.library.slice(0) : null);
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  wasm.instantiateStreaming = (_source, imports) =>
    new Promise((done) => {
      // Pyodide would write a failure on the console, and wait for ever.
      wasm.instantiate(unpacked.wasm, imports).then((instance) => {
        done({ module: unpacked.wasm, instance });
      }, fail);
    });
  try {
    const python = loadPyodide({
      indexURL: self.location.href.replace(/[^/]*$/, ""),
      createPyodideModule,
      lockFileContents: { info: LOCK, packages: {} },
      stdout: () => undefined,
      stderr: () => undefined,
    });
    return await Promise.race([python, failed]);
  } finally {
    wasm.instantiateStreaming = streaming;
    self.fetch = fetch;
  }
}

/** Nothing here asks a server for anything from now on, whatever the code or the input would like. */
function seal(): void {
  const refuse = () => {
    throw new Error("The playground opens no connection.");
  };
  for (const name of ["fetch", "XMLHttpRequest", "WebSocket", "EventSource", "importScripts"]) {
    Object.defineProperty(self, name, { value: refuse, writable: false, configurable: false });
  }
}

function reasonOf(error: unknown): Broken {
  if (["WebAssembly", "DecompressionStream"].some((name) => !(name in self))) return "webassembly";
  if (error instanceof NotLoaded) return "file";
  return reasonIn(String(error));
}

/** What to report: where it happened, and not the words of the error, which may quote the input. */
function reportOf(error: unknown): string {
  if (error instanceof NotLoaded) return error.message;
  const head = `nptables ${VERSIONS.nptables}, Python ${LOCK.python} (${LOCK.platform})`;
  if (!(error instanceof Error)) return [head, typeof error].join("\n");
  // In some browsers the words come first, and may look like anything.
  const stack = (error.stack ?? "").replace(error.message, "").split("\n");
  const frames = stack.filter((line) => /^\s*at |@/.test(line));
  return [head, error.name, ...frames.slice(0, 12)].join("\n");
}
