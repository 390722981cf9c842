/** What the page and the bridge (nptables/playground/protocol.py) say to each other. */

export const VERSION = 1;

export type Ask =
  | "choices"
  | "findings"
  | "rules"
  | "graph"
  | "trace"
  | "reach"
  | "changes"
  | "versions"
  | "command"
  | "examples"
  | "read";
export type View = "findings" | "rules" | "graph" | "trace" | "reach" | "changes";
export type FamilyName = "IPv4" | "IPv6";
export type FaultKind = "input" | "large" | "fault";
export type NoteKind = "note" | "warning";

/** `text`, or `base64` for what is none. */
export interface HeldFile {
  readonly name: string;
  readonly text?: string;
  readonly base64?: string;
}

export interface Before {
  readonly files: readonly HeldFile[];
  readonly config: string;
  readonly facts: string;
  readonly evidence: readonly HeldFile[];
  readonly node: string;
  readonly kubeProxyVersion: string;
}

export interface State {
  readonly version: number;
  readonly files: readonly HeldFile[];
  readonly config: string;
  readonly facts: string;
  readonly evidence: readonly HeldFile[];
  readonly node: string;
  readonly kubeProxyVersion: string;
  readonly family: FamilyName;
  readonly from: string;
  readonly to: string;
  readonly service: string;
  readonly before: Before | null;
  readonly view: View;
}

export interface Request {
  readonly ask: Ask;
  readonly state?: State;
  readonly to?: string;
  readonly service?: string;
  readonly first?: number;
  readonly most?: number;
  readonly whole?: boolean;
  readonly down?: boolean;
}

/** How much of large input needs no more parsing: ask again until it is all. */
export interface Read {
  readonly read: number;
  readonly total: number;
}

/** Lines and columns count from 1, and the end is behind the last character. */
export interface Fix {
  readonly title: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  readonly text: string;
}

export interface Mark {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  readonly severity: "info" | "warning" | "error";
  readonly message: string;
  readonly finding: number | null;
  readonly fix: Fix | null;
}

export interface Note {
  readonly kind: NoteKind;
  readonly text: string;
}

export interface Reply<Result> {
  readonly ok: true;
  readonly result: Result;
  readonly notes: readonly Note[];
}

/** A problem as `check -o json` prints it. */
export interface Problem {
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly field: string;
  readonly message: string;
  readonly hint: string;
}

/** What can be asked instead: another view, only some files, or some of them as evidence. */
export interface Instead {
  readonly title: string;
  readonly view: View | null;
  readonly keep: readonly string[] | null;
  readonly evidence: readonly string[];
}

export interface Refusal {
  readonly ok: false;
  readonly kind: FaultKind;
  readonly message: string;
  readonly problems: readonly Problem[];
  readonly marks: readonly Mark[];
  readonly notes: readonly Note[];
  readonly instead: readonly Instead[];
  readonly report: string;
}

export type Answer<Result> = Reply<Result> | Refusal;

export interface End {
  readonly value: string;
  readonly label: string;
  readonly kind: string;
}

export interface Choices {
  readonly nodes: readonly string[];
  readonly node: string;
  readonly families: readonly FamilyName[];
  readonly kubeProxyVersions: readonly string[];
  readonly kubeProxyVersion: string;
  /** Empty where the version makes no difference. */
  readonly kubeProxyUsual: string;
  readonly kubeProxyWhy: string;
  readonly senders: readonly End[];
  readonly destinations: readonly End[];
  readonly services: readonly string[];
}

/** Where there is no input nothing can be chosen. */
export const NO_CHOICES: Choices = {
  nodes: [],
  node: "",
  families: [],
  kubeProxyVersions: [],
  kubeProxyVersion: "",
  kubeProxyUsual: "",
  kubeProxyWhy: "",
  senders: [],
  destinations: [],
  services: [],
};

export interface Example {
  readonly id: string;
  readonly title: string;
  readonly group: string;
  readonly question: string;
  readonly answer: string;
  readonly state: State;
}

export const EMPTY: State = {
  version: VERSION,
  files: [{ name: "manifest.yaml", text: "" }],
  config: "",
  facts: "",
  evidence: [],
  node: "",
  kubeProxyVersion: "",
  family: "IPv4",
  from: "",
  to: "",
  service: "",
  before: null,
  view: "findings",
};

/** As `check -o json` prints it. */
export interface Finding {
  readonly code: string;
  readonly name: string;
  readonly severity: "error" | "warning" | "info";
  readonly kind: string;
  readonly namespace: string;
  readonly object: string;
  readonly field: string;
  readonly message: string;
  readonly effect: string;
  readonly remedy: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
}

export interface Findings {
  readonly document: { readonly findings: readonly Finding[] };
  readonly marks: readonly Mark[];
}

/** One line of the walk of a packet. */
export interface WayLine {
  readonly kind: "hook" | "table" | "rule" | "branch" | "end";
  readonly text: string;
  readonly note: string;
  /** Whether this rule decides what becomes of the packet. */
  readonly decides: boolean;
}

export interface Deciding {
  readonly node: string;
  readonly table: string;
  readonly chain: string;
  readonly line: string;
}

export interface TraceCase {
  readonly condition: string;
  readonly rows: readonly (readonly string[])[];
  /** The rule that decides about every packet, where it is one alone. */
  readonly decided: Deciding | null;
  readonly way: readonly WayLine[];
}

export interface TraceAnswer {
  readonly nodes: string;
  /** The answer as the command line prints it. */
  readonly answer: string;
  readonly verdict: string;
  readonly sentence: string;
  /** What the sentence rests on, for a beginner; may be empty. */
  readonly meaning: string;
  readonly arrives: boolean;
  readonly headings: readonly string[];
  readonly cases: readonly TraceCase[];
  readonly reasons: readonly string[];
  readonly notes: readonly string[];
  readonly svg: string;
}

export interface Trace {
  readonly from: string;
  readonly to: string;
  readonly answers: readonly TraceAnswer[];
}

/** A line, and what it came from. */
export interface RuleLine {
  readonly line: string;
  readonly service: string | null;
  readonly port: string | null;
  readonly protocol: string | null;
  readonly endpoint: string | null;
  readonly field: string | null;
  readonly file: string | null;
  readonly at: number | null;
}

export interface Chain {
  readonly table: string;
  readonly name: string;
  readonly policy: string | null;
  readonly lines: readonly RuleLine[];
}

export interface Rules {
  /** What iptables-save prints, where it was asked for. */
  readonly text: string | null;
  readonly node: string;
  readonly family: string;
  readonly chains: readonly Chain[];
  readonly first: number;
  readonly next: number | null;
  readonly count: number;
  readonly lines: number;
}

export interface Graph {
  readonly service: string;
  readonly svg: string;
  readonly dot: string;
  readonly mermaid: string;
  readonly text: string;
}

export interface ReachCell {
  readonly nodes: readonly string[];
  readonly label: string;
  readonly fares: string;
  readonly good: boolean;
  readonly text: string;
  readonly why: string;
}

export interface ReachRow {
  readonly name: string;
  readonly to: string;
  readonly destination: string;
  readonly cells: readonly ReachCell[];
}

export interface Reach {
  readonly document: { readonly from: string; readonly nodes: readonly string[] };
  readonly rows: readonly ReachRow[];
  readonly first: number;
  readonly next: number | null;
  readonly count: number;
}

export interface ChangedLine {
  readonly kind: string;
  readonly text: string;
}

export interface Changes {
  readonly summary: string;
  readonly sentences: readonly string[];
  readonly rules: readonly ChangedLine[];
  readonly more: number;
}

export interface Versions extends Changes {
  readonly from: string;
  readonly to: string;
  readonly habits: readonly { readonly title: string; readonly means: string }[];
}

export interface Command {
  readonly command: string;
  readonly files: readonly string[];
  readonly script: string;
}
