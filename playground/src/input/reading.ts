/** Files that somebody drops or opens: text as it is, anything else as base64. */
import type { HeldFile } from "../protocol";
import { MOST_CHARACTERS } from "./editor";

/** As the bridge takes. */
const MOST_FILES = 1000;

/** What could not be read; one sentence for people. */
export class NotRead extends Error {}

interface Found {
  readonly path: string;
  readonly file: File;
}

/** The files of a drop, with those of its folders. */
export async function dropped(transfer: DataTransfer): Promise<readonly Found[]> {
  // Before the first await: afterwards the list is empty.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const plain = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) return plain.map((file) => named(file));
  const found: Found[] = [];
  for (const entry of entries) if (entry) await walk(entry, found);
  return found;
}

/** The files that a file input holds; those of a folder come with its path. */
export function chosen(list: FileList | null): readonly Found[] {
  return [...(list ?? [])].map((file) => named(file));
}

function named(file: File): Found {
  return { path: file.webkitRelativePath || file.name, file };
}

async function walk(entry: FileSystemEntry, found: Found[]): Promise<void> {
  if (found.length > MOST_FILES) return;
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) =>
      (entry as FileSystemFileEntry).file(done, failed),
    );
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A reader gives a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((done, failed) =>
      reader.readEntries(done, failed),
    );
    if (!some.length) return;
    for (const child of some) if (!child.name.startsWith(".")) await walk(child, found);
  }
}

/**
 * Reads files.
 * @throws NotRead where there are too many, they are too large, or the browser refuses
 */
export async function read(found: readonly Found[]): Promise<readonly HeldFile[]> {
  if (found.length > MOST_FILES) {
    throw new NotRead(
      `That is more than ${MOST_FILES} files, which the playground does not take. Choose fewer, or use the command line.`,
    );
  }
  const bytes = found.reduce((sum, { file }) => sum + file.size, 0);
  if (bytes > MOST_CHARACTERS) {
    const megabytes = Math.round(bytes / 1e6);
    throw new NotRead(
      `That is ${megabytes} MB, and the playground takes 16 MB. The command line takes more.`,
    );
  }
  return Promise.all(found.map(held));
}

async function held({ path, file }: Found): Promise<HeldFile> {
  let content: Uint8Array;
  try {
    content = new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new NotRead(`${path} could not be read: the browser does not allow it, or it is gone.`);
  }
  const text = asText(content);
  return text === null ? { name: path, base64: base64(content) } : { name: path, text };
}

function asText(content: Uint8Array): string | null {
  if (content.includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    return null;
  }
}

function base64(content: Uint8Array): string {
  let binary = "";
  // So many arguments a function takes in every browser.
  for (let at = 0; at < content.length; at += 0x8000) {
    binary += String.fromCharCode(...content.subarray(at, at + 0x8000));
  }
  return btoa(binary);
}
