/** What each view of the answers is. */
import type { Choices, Instead, Request, State } from "../protocol";

/** What a view can have the page do. */
export interface Actions {
  /** Brings a place of the input into view. */
  goTo(file: string, line: number, column?: number | null): void;
  change(patch: Partial<State>): void;
  /** Changes, as another place: "back" leads here again. */
  enter(patch: Partial<State>): void;
  /** Asks what can be answered instead. */
  instead(one: Instead): void;
  /** Asks again, since the view wants something else now. */
  again(): void;
  /** Another line for the status of what is shown. */
  tell(words: string): void;
  readonly state: State;
  /** Asks beside the view; the reply's result, or null where there is none. */
  ask<Result>(request: Request): Promise<Result | null>;
  save(name: string, type: string, content: string): void;
}

export interface ViewPart<Result> {
  /** What one chooses with: it stays where there is no answer, too. */
  readonly controls?: HTMLElement;
  readonly element: HTMLElement;
  /** What to ask for this view; null where nothing is to ask, and `idle` says why. */
  request(state: State): Request | null;
  /** Shows an answer; returns one line for the status, which screen readers say. */
  show(result: Result, state: State): string;
  /** Shows that there is nothing to ask yet. */
  idle?(state: State): string;
  /** Other things can be chosen now. */
  choices?(choices: Choices, state: State): void;
}
