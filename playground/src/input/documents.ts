/** The texts of a state by the tab that they are in. */
import type { HeldFile, State } from "../protocol";

export type Tab = "files" | "config" | "facts" | "evidence";

export const TABS: Readonly<Record<Tab, { title: string; about: string }>> = {
  files: {
    title: "Manifests",
    about: "Services, EndpointSlices, Nodes and Pods, as YAML or JSON.",
  },
  config: {
    title: "Configuration",
    about: "The KubeProxyConfiguration of the node. Empty: kube-proxy's defaults.",
  },
  facts: {
    title: "Facts",
    about:
      "What the node says of itself, as “nptables facts” prints it. Empty: from the Node object.",
  },
  evidence: {
    title: "Evidence",
    about: "What a node really has: iptables-save, nft, a snapshot, a support archive. Any form.",
  },
};

/** What the bridge calls the two texts that have no name here. */
export const NAMED: Readonly<Record<string, Tab>> = {
  "kube-proxy.yaml": "config",
  "facts.yaml": "facts",
};

/** A document that is or can be on the screen. */
export interface Shown {
  readonly key: string;
  /** As findings call it. */
  readonly file: string;
  readonly label: string;
  /** Null: it is no text. */
  readonly text: string | null;
}

/** The files of a tab that holds several. */
export function filesOf(state: State, tab: Tab): readonly HeldFile[] {
  return tab === "files" ? state.files : tab === "evidence" ? state.evidence : [];
}

/** The document of a tab, or null where the tab has none. */
export function shown(state: State, tab: Tab, name: string): Shown | null {
  if (tab === "config" || tab === "facts") {
    const file = Object.keys(NAMED).find((one) => NAMED[one] === tab) ?? tab;
    return { key: tab, file, label: TABS[tab].title, text: state[tab] };
  }
  const file = filesOf(state, tab).find((one) => one.name === name);
  if (!file) return null;
  return { key: `${tab}/${name}`, file: name, label: name, text: file.text ?? null };
}

/** What changes in a state when a document has another text. */
export function withText(state: State, key: string, text: string): Partial<State> {
  if (key === "config" || key === "facts") return { [key]: text };
  const [tab, name] = split(key);
  const replaced = <File extends { name: string }>(files: readonly File[]) =>
    files.map((file) => (file.name === name ? { ...file, text } : file));
  return tab === "files"
    ? { files: replaced(state.files) }
    : { evidence: replaced(state.evidence) };
}

/** A name like the one that is wanted, which no other file has. */
export function freeName(files: readonly { name: string }[], wanted: string): string {
  const taken = new Set(files.map((file) => file.name));
  const [, stem = wanted, ending = ""] = /^(.*?)(\.[^./]*)?$/.exec(wanted) ?? [];
  let name = wanted;
  for (let number = 2; taken.has(name); number += 1) name = `${stem}-${number}${ending}`;
  return name;
}

/** All documents that a state has. */
export function keys(state: State): Set<string> {
  return new Set([
    "config",
    "facts",
    ...state.files.map((file) => `files/${file.name}`),
    ...state.evidence.map((file) => `evidence/${file.name}`),
  ]);
}

function split(key: string): [string, string] {
  const at = key.indexOf("/");
  return [key.slice(0, at), key.slice(at + 1)];
}
