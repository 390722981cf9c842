/** The page's end of the worker: one request at a time, the newest first, the overtaken ended. */
import { type Broken, type FromWorker, reasonIn, type ToWorker, type Unpacked } from "./messages";

/** Written in by the build. */
declare const WORKER: string;
declare const VERSIONS: { readonly nptables: string };

/** How long an overtaken request may go on, in ms: to start Python anew takes longer than that. */
const PATIENCE = 1500;

/** Why a request has no reply. */
export type Ended = "overtaken" | "stopped" | Broken;

export class NoReply extends Error {
  constructor(
    readonly ended: Ended,
    readonly detail = "",
  ) {
    super(ended);
  }
}

interface Task {
  readonly id: number;
  readonly lane: string;
  readonly request: string;
  readonly done: (reply: string) => void;
  readonly failed: (why: NoReply) => void;
}

export interface Events {
  progress(loaded: number, total: number): void;
  /** "starting", "ready", or "broken" until somebody asks again. */
  condition(condition: "starting" | "ready" | "broken", reason?: Broken): void;
}

export class Python {
  readonly #events: Events;
  readonly #waiting: Task[] = [];
  #worker: Worker | null = null;
  #unpacked: Unpacked | null = null;
  #ready = false;
  #running: Task | null = null;
  #number = 0;
  #patience = 0;

  constructor(events: Events) {
    this.#events = events;
  }

  /** Loads Python, if it is not there. */
  start(): void {
    if (this.#worker) return;
    this.#events.condition("starting");
    this.#ready = false;
    const base = new URL("./", document.baseURI);
    const worker = new Worker(new URL(WORKER, base), { type: "module", name: "python" });
    this.#worker = worker;
    const lock = `${base.pathname}${WORKER} ${Math.random()}`;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "locked") void navigator.locks.request(lock, () => this.#ended(worker));
      else if (this.#worker === worker) this.#heard(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#worker === worker) this.#failed(event);
    };
    this.#say({ kind: "start", base: base.href, unpacked: this.#unpacked, lock });
  }

  /**
   * Asks something. A newer request of the same lane takes the place of an older one.
   * @returns the reply, as JSON
   * @throws NoReply
   */
  ask(lane: string, request: string): Promise<string> {
    return new Promise((done, failed) => {
      for (const older of this.#waiting.filter((task) => task.lane === lane)) {
        this.#waiting.splice(this.#waiting.indexOf(older), 1);
        older.failed(new NoReply("overtaken"));
      }
      this.#waiting.push({ id: (this.#number += 1), lane, request, done, failed });
      if (this.#running?.lane === lane && !this.#patience) {
        this.#patience = window.setTimeout(() => this.#end("overtaken"), PATIENCE);
      }
      this.start();
      this.#next();
    });
  }

  /** Ends what is running, and what waits. */
  stop(): void {
    for (const task of this.#waiting.splice(0)) task.failed(new NoReply("stopped"));
    if (this.#running) this.#end("stopped");
  }

  #next(): void {
    if (!this.#ready || this.#running) return;
    const task = this.#waiting.shift();
    if (!task) return;
    this.#running = task;
    this.#say({ kind: "ask", id: task.id, request: task.request });
  }

  #heard(message: Exclude<FromWorker, { kind: "locked" }>): void {
    switch (message.kind) {
      case "progress":
        this.#events.progress(message.loaded, message.total);
        break;
      case "unpacked":
        this.#unpacked = message.unpacked;
        break;
      case "ready":
        this.#ready = true;
        this.#events.condition("ready");
        this.#next();
        break;
      case "reply":
        this.#finished((task) => task.done(message.reply));
        this.#next();
        break;
      case "broken":
        this.#broken(message.reason, message.detail);
        break;
    }
  }

  #finished(tell: (task: Task) => void): void {
    const task = this.#running;
    this.#running = null;
    window.clearTimeout(this.#patience);
    this.#patience = 0;
    if (task) tell(task);
  }

  #end(ended: Ended, detail = ""): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#finished((task) => task.failed(new NoReply(ended, detail)));
    // What waits is asked of the next one; and who stopped this one will want it soon.
    if (ended === "overtaken" || ended === "stopped") this.start();
  }

  /** An error that the worker itself could say nothing of. Its words may quote the input. */
  #failed({ message, filename, lineno, colno }: ErrorEvent): void {
    if (this.#ready) {
      this.#broken(reasonIn(message), inWorker(`${filename}:${lineno}:${colno}`));
    } else {
      this.#broken("file", message || "the worker could not be loaded");
    }
  }

  /** The browser has ended a worker. Where nothing was asked of it, the next question starts another. */
  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    if (this.#running || !this.#ready) this.#broken("fault", inWorker("It ended without a word."));
    else this.#worker = null;
  }

  #broken(reason: Broken, detail: string): void {
    const waiting = this.#waiting.splice(0);
    this.#events.condition("broken", reason);
    this.#end(reason, detail);
    for (const task of waiting) task.failed(new NoReply(reason, detail));
  }

  #say(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }
}

function inWorker(where: string): string {
  return `nptables ${VERSIONS.nptables}\nthe worker\n${where}`;
}
