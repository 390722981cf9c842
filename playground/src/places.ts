/** Back and forward: between examples, links and views, each with what was typed in it. */
import type { State } from "./protocol";
import type { Store } from "./state";

export interface PlaceEvents {
  /** Shows another state as a whole. */
  show(state: State): void;
  /** Somebody has given the tab another fragment: a link, or a place from before a reload. */
  arrived(fragment: string): void;
}

interface Kept {
  readonly place: number;
}

export class Places {
  readonly #store: Store;
  readonly #events: PlaceEvents;
  /** What was on the screen at each place. It is kept in this tab's memory alone. */
  readonly #states = new Map<number, State>();
  #place = Date.now();

  constructor(store: Store, events: PlaceEvents) {
    this.#store = store;
    this.#events = events;
    window.addEventListener("popstate", (event) => this.#moved(event.state as Kept | null));
    history.replaceState({ place: this.#place }, "");
  }

  /** A new place, which "back" leads away from. */
  enter(fragment: string): void {
    this.#remember();
    this.#place += 1;
    history.pushState({ place: this.#place }, "", fragment || location.pathname + location.search);
  }

  /** The same place has another address. */
  rename(fragment: string): void {
    history.replaceState(
      { place: this.#place },
      "",
      fragment || location.pathname + location.search,
    );
  }

  #remember(): void {
    this.#states.set(this.#place, this.#store.state);
  }

  #moved(kept: Kept | null): void {
    this.#remember();
    if (kept) {
      this.#place = kept.place;
      const state = this.#states.get(kept.place);
      if (state) this.#events.show(state);
      else this.#events.arrived(location.hash);
    } else {
      this.#place += 1;
      history.replaceState({ place: this.#place }, "");
      this.#events.arrived(location.hash);
    }
  }
}
