/** What is on the screen, and who is told when it changes. */
import { EMPTY, type State } from "./protocol";

type Listener = (state: State, changed: ReadonlySet<keyof State>) => void;

/** The one state of the page. Everything that an answer depends on is in it. */
export class Store {
  #state: State;
  #revision = 0;
  readonly #listeners: Listener[] = [];

  constructor(state: State = EMPTY) {
    this.#state = state;
  }

  get state(): State {
    return this.#state;
  }

  /** Grows with every change but that of the view: an answer to an earlier one is old. */
  get revision(): number {
    return this.#revision;
  }

  /** Takes other values, and tells everyone which fields are others now. */
  change(patch: Partial<State>): void {
    const before = this.#state;
    const changed = new Set(
      (Object.keys(patch) as (keyof State)[]).filter((key) => patch[key] !== before[key]),
    );
    if (!changed.size) return;
    this.#state = { ...before, ...patch };
    if (changed.size > 1 || !changed.has("view")) this.#revision += 1;
    for (const listener of this.#listeners) listener(this.#state, changed);
  }

  on(listener: Listener): void {
    this.#listeners.push(listener);
  }
}
