/** Whether a value has the shape of a state, so that the page can show it. What it means, the bridge says. */
import {
  EMPTY,
  type Before,
  type FamilyName,
  type HeldFile,
  type State,
  VERSION,
  type View,
} from "../protocol";
import { BadLink } from "./fragment";

const TEXTS = ["config", "facts", "node", "kubeProxyVersion", "from", "to", "service"] as const;
const VIEWS: readonly View[] = ["findings", "rules", "graph", "trace", "reach", "changes"];
const FAMILIES: readonly FamilyName[] = ["IPv4", "IPv6"];
const MOST_FILES = 1000;

type Fields = Readonly<Record<string, unknown>>;

/**
 * The state that a value is; what it does not say is empty.
 * @throws BadLink where it is none
 */
export function asState(value: unknown): State {
  const fields = object(value);
  if ((fields.version ?? VERSION) !== VERSION) {
    throw new BadLink(
      "This state was saved by another version of the playground, and cannot be read here.",
    );
  }
  for (const name of Object.keys(fields)) {
    if (!Object.hasOwn(EMPTY, name)) throw broken();
  }
  return {
    ...EMPTY,
    ...inputs(fields),
    family: oneOf(FAMILIES, fields.family ?? EMPTY.family),
    from: text(fields.from),
    to: text(fields.to),
    service: text(fields.service),
    view: oneOf(VIEWS, fields.view ?? EMPTY.view),
    before: fields.before == null ? null : inputs(object(fields.before)),
  };
}

function inputs(fields: Fields): Before {
  for (const name of TEXTS) text(fields[name]);
  return {
    files: files(fields.files),
    config: text(fields.config),
    facts: text(fields.facts),
    evidence: files(fields.evidence),
    node: text(fields.node),
    kubeProxyVersion: text(fields.kubeProxyVersion),
  };
}

function files(value: unknown): readonly HeldFile[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > MOST_FILES) throw broken();
  const found = value.map(object).map((file) => ({
    name: text(file.name),
    ...(file.base64 === undefined ? { text: text(file.text) } : { base64: text(file.base64) }),
  }));
  if (new Set(found.map((file) => file.name)).size < found.length) throw broken();
  return found;
}

function object(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw broken();
  return value as Fields;
}

function text(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw broken();
  return value;
}

function oneOf<Value extends string>(values: readonly Value[], value: unknown): Value {
  const found = values.find((one) => one === value);
  if (!found) throw broken();
  return found;
}

function broken(): BadLink {
  return new BadLink("This link is broken: what is in it is no state of the playground.");
}
