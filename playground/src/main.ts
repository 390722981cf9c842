/** Puts the page together. */
import { ChangesView } from "./answers/changes";
import { FindingsView } from "./answers/findings";
import { GraphView } from "./answers/graph";
import { AnswersPane } from "./answers/pane";
import { ReachView } from "./answers/reach";
import { RulesView } from "./answers/rules";
import { TraceView } from "./answers/trace";
import { versions } from "./answers/versions";
import type { Actions, ViewPart } from "./answers/view";
import { Asking, BROKEN } from "./asking";
import { save } from "./dialog";
import { button, byId, h, size } from "./dom";
import { choose, loadExamples, question } from "./examples";
import { asSentence, inShort } from "./fault";
import { Header } from "./header";
import { Openings } from "./input/opening";
import { InputPane } from "./input/pane";
import { Notice } from "./notice";
import { keepOffline } from "./offline/register";
import { Places } from "./places";
import { EMPTY } from "./protocol";
import type {
  Answer,
  Command,
  Example,
  Fix,
  Refusal,
  Request,
  State,
  Versions,
  View,
} from "./protocol";
import { Python } from "./python/client";
import { showCommand } from "./sharing/command";
import { share } from "./sharing/dialog";
import { BadLink, forExample, read } from "./sharing/fragment";
import { asState } from "./sharing/shape";
import { Store } from "./state";

/** Nothing, not even an empty file. */
const BARE: State = { ...EMPTY, files: [] };
const store = new Store();
const notice = new Notice(byId("notice"));
const answers = byId("answers");
const welcome = byId("welcome");
let examples: readonly Example[] = [];
let example: Example | null = null;
/** As it came: what differs from it was typed. */
let pristine: State = store.state;
let asked = false;

const python = new Python({
  progress(loaded, total) {
    const bar = document.getElementById("progress-bar");
    if (!(bar instanceof HTMLProgressElement)) return;
    byId("progress").textContent =
      loaded < total
        ? `Loading the program: ${size(loaded)} of ${size(total)}. It is kept for the next time.`
        : "Starting the program. It runs in this tab.";
    if (loaded < total) bar.value = loaded / total;
    else bar.removeAttribute("value");
  },
  condition(condition, reason) {
    document.documentElement.dataset.python = condition;
    if (condition === "ready") void afterFirst();
    if (reason) notice.say(BROKEN[reason]);
    else if (condition === "ready" && Object.values(BROKEN).includes(notice.said)) notice.clear();
  },
});
// At once: it takes longest, and nothing below depends on it.
python.start();

const actions: Actions = {
  goTo(file, line, column) {
    showHalf("input");
    if (!input.goTo(file, { line, column: column ?? null })) {
      notice.say(`${file} is not among the files of the input.`);
    }
  },
  change: (patch) => store.change(patch),
  enter(patch) {
    places.enter(example ? forExample(example.id, patch.view ?? store.state.view) : "");
    store.change(patch);
  },
  instead({ view, keep, evidence }) {
    const { files } = store.state;
    const named = (names: readonly string[]) => files.filter(({ name }) => names.includes(name));
    if (view) actions.enter({ view });
    if (keep) actions.enter({ files: named(keep) });
    if (!evidence.length) return;
    actions.enter({
      files: files.filter(({ name }) => !evidence.includes(name)),
      evidence: [...store.state.evidence, ...named(evidence)],
    });
    if (hasRulesAlone()) store.change({ view: "trace" });
    input.showTab("evidence");
  },
  again: () => asking.again(),
  tell: (words) => pane.progress(words),
  get state() {
    return store.state;
  },
  async ask<Result>(request: Request): Promise<Result | null> {
    try {
      const reply = JSON.parse(
        await python.ask(request.ask, JSON.stringify(request)),
      ) as Answer<Result>;
      if (!reply.ok && reply.kind === "fault") faulty(reply);
      return reply.ok ? reply.result : null;
    } catch {
      return null;
    }
  },
  save,
};

const rules = new RulesView(actions);
const views = {
  findings: new FindingsView(actions, applyFix),
  rules,
  graph: new GraphView(actions),
  trace: new TraceView(actions),
  reach: new ReachView(actions),
  changes: new ChangesView(actions),
} as Record<View, ViewPart<unknown>>;
const pane = new AnswersPane(
  answers,
  {
    chosen: (view) => {
      if (view !== store.state.view) actions.enter({ view });
    },
    stop: () => python.stop(),
    again: () => asking.again(),
    fix: applyFix,
    examples: chooseExample,
  },
  actions,
);
const input = new InputPane(byId("input"), store, {
  refused: (sentence) => notice.say(sentence),
  moved: (file, line) => rules.at(file, line),
  openFiles: (tab) => openings.openFiles(tab),
  openFolder: (tab) => openings.openFolder(tab),
});
const openings = new Openings({
  refused: (sentence) => notice.say(sentence),
  base: () => (isUntouched() ? BARE : store.state),
  taken(patch, tab, words) {
    if (isUntouched()) {
      places.enter("");
      showState({ ...BARE, view: store.state.view, ...patch }, null);
    } else {
      store.change(patch);
    }
    if (hasRulesAlone()) store.change({ view: "trace" });
    input.showTab(tab);
    notice.tell(words);
  },
  saved: openText,
  tab: () => input.tab,
});
const header = new Header(store, (before) => void compareVersions(before));
const asking = new Asking({
  store,
  python,
  pane,
  views,
  marked(marks, found) {
    input.mark(marks);
    const findings = found?.document.findings ?? [];
    const bad = !found || findings.some(({ severity }) => severity !== "info");
    const text = found ? String(findings.length || "") : marks.length ? "!" : "";
    pane.tabs.badge("findings", text, bad ? "bad" : "");
  },
  chosen(choices) {
    header.choices(choices, store.state);
    for (const view of Object.values(views)) view.choices?.(choices, store.state);
  },
  faulty,
});
const halves = {
  input: button("Input", () => showHalf("input")),
  answers: button("Answers", () => showHalf("answers")),
};
const places = new Places(store, {
  show: (state) => showState(state, exampleAt(location.hash)),
  arrived: (fragment) => void arrive(fragment),
});

byId("menu").append(
  button("Examples", chooseExample, {
    class: "primary",
    id: "open-examples",
  }),
  header.element,
  h(
    "div",
    { class: "row" },
    button("Share", () => void share(store.state, sharing), { id: "open-share" }),
    button("On your machine", () => void command(), { id: "open-command" }),
  ),
);
const sharing = { opened: openText, chooseFile: () => openings.openSaved() };
byId("halves").append(halves.input, halves.answers);
showHalf("answers");
document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  showHalf("answers");
  answers.focus();
});
window.addEventListener("beforeunload", (event) => {
  if (isChanged()) event.preventDefault();
});
window.addEventListener("error", (event) => report(event.error));
window.addEventListener("unhandledrejection", (event) => report(event.reason));
void begin();

async function begin(): Promise<void> {
  const loaded = await loadExamples().catch(() => null);
  examples = loaded ?? [];
  await arrive(location.hash);
  if (!loaded) {
    notice.say(
      "The examples could not be loaded. Everything else works; reload the page to try again.",
    );
  }
  asking.begin();
}

/** What the address says: an example, a state, or nothing, which is the first example. */
async function arrive(fragment: string): Promise<void> {
  try {
    const held = await read(fragment);
    if (held.kind === "state") {
      showState(asState(held.state), null);
    } else if (held.kind === "example" && !examples.some((one) => one.id === held.id)) {
      throw new BadLink(`There is no example “${held.id}” here.`);
    } else if (held.kind === "example") {
      const found = exampleAt(fragment);
      if (found) showState(withView(found.state, held.view), found);
    } else if (!asked && store.revision === 0) {
      const [first] = examples;
      if (first) showState(first.state, first);
    }
    if (asked) notice.clear();
  } catch (error) {
    if (!(error instanceof BadLink)) throw error;
    notice.say(error.message);
    places.rename("");
    const [first] = examples;
    if (!asked && first) showState(first.state, first);
  }
  asked = true;
}

function withView(state: State, view: string): State {
  return view in views ? { ...state, view: view as View } : state;
}

function exampleAt(fragment: string): Example | null {
  const id = /^#example=([^&]*)/.exec(fragment)?.[1];
  return examples.find((one) => encodeURIComponent(one.id) === id) ?? null;
}

/** Shows other input as a whole. */
function showState(state: State, of: Example | null): void {
  example = of;
  pristine = state;
  document.title = `${of ? `${of.title} · ` : ""}nptables playground`;
  const before = store.state;
  store.change(state);
  if (store.state !== before) input.renew();
  showQuestion();
}

function chooseExample(): void {
  choose(examples, { chosen: enterExample, empty: enterEmpty });
}

function enterEmpty(): void {
  places.enter("");
  showState(EMPTY, null);
  notice.clear();
  showHalf("input");
}

function enterExample(chosen: Example): void {
  places.enter(forExample(chosen.id, "findings"));
  showState(chosen.state, chosen);
  notice.clear();
}

function showQuestion(): void {
  pane.above.replaceChildren();
  if (!example) return;
  const next = examples[examples.indexOf(example) + 1];
  pane.above.append(
    question(example, next, {
      next(chosen) {
        enterExample(chosen);
        document.getElementById("question")?.focus();
      },
      close: () => pane.above.replaceChildren(),
    }),
  );
}

/** Says above the answers what the version that was chosen does differently. */
async function compareVersions(before: string): Promise<void> {
  const { state } = store;
  const to = state.kubeProxyVersion;
  document.getElementById("versions")?.remove();
  const result = await actions.ask<Versions>({
    ask: "versions",
    state: { ...state, kubeProxyVersion: before },
    ...(to ? { to } : {}),
  });
  if (!result || store.state.kubeProxyVersion !== to) return;
  document.getElementById("versions")?.remove();
  const shown = versions(result, () => shown.remove());
  pane.above.append(shown);
}

async function command(): Promise<void> {
  notice.clear();
  const result = await actions.ask<Command>({ ask: "command", state: store.state });
  if (result) showCommand(result);
  else if (!notice.said)
    notice.say("There is no command line for this input: see what the answers say of it.");
}

/** Opens a state from a file, or from what this browser keeps. */
function openText(text: string): void {
  try {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new BadLink("This file is no saved state of the playground.");
    }
    const state = asState(value);
    places.enter("");
    showState(state, null);
    notice.clear();
  } catch (error) {
    if (!(error instanceof BadLink)) throw error;
    notice.say(error.message);
  }
}

/** An example that is as it came: files of somebody's own take its place. */
function isUntouched(): boolean {
  return example !== null && !isChanged();
}

/** In a node's rules one can follow a packet; the other views need the cluster's objects, too. */
function hasRulesAlone(): boolean {
  const { files, evidence } = store.state;
  return evidence.length > 0 && !files.some((file) => file.base64 || file.text?.trim());
}

/** A fault of the page. Its words may quote the input: where it happened is enough. */
function report(error: unknown): void {
  const name = error instanceof Error ? error.name : typeof error;
  const at =
    error instanceof Error ? (/[\w.-]+\.js:\d+:\d+/.exec(error.stack ?? "")?.[0] ?? "") : "";
  notice.say(asSentence(`${name} ${at}`));
}

function faulty(refusal: Refusal): void {
  notice.say(inShort(refusal.report));
}

/** Whether something was typed that is in no example and no link. */
function isChanged(): boolean {
  const { state } = store;
  return (["files", "config", "facts", "evidence"] as const).some(
    (key) =>
      state[key] !== pristine[key] && JSON.stringify(state[key]) !== JSON.stringify(pristine[key]),
  );
}

function applyFix(fix: Fix): void {
  showHalf("input");
  input.apply(fix);
}

/** On a phone one half is on the screen. */
function showHalf(half: "input" | "answers"): void {
  document.documentElement.dataset.half = half;
  for (const [name, pressed] of Object.entries(halves)) {
    pressed.setAttribute("aria-pressed", String(name === half));
  }
}

async function afterFirst(): Promise<void> {
  welcome.remove();
  const kept = await keepOffline();
  if (kept) document.documentElement.dataset.offline = "ready";
}
