// Files with their content's hash in the name: a server may let a browser keep them for ever.
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { gzipSync } from "node:zlib";

/** What was written: the names, for the service worker. */
export class Output {
  /** @param {string} folder */
  constructor(folder) {
    this.folder = folder;
    /** @type {{name: string, bytes: number}[]} */
    this.files = [];
  }

  /**
   * Under exactly this name.
   * @param {string} name
   * @param {Uint8Array | string} content
   */
  async write(name, content) {
    const path = join(this.folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    this.files.push({ name, bytes: Buffer.byteLength(content) });
    return name;
  }

  /**
   * Under a name with its hash: "assets/app-1a2b3c4d.js".
   * @param {string} name
   * @param {Uint8Array | string} content
   */
  async hashed(name, content) {
    const ending = extname(name);
    const hash = createHash("sha256").update(content).digest("hex").slice(0, 10);
    return this.write(`assets/${name.slice(0, -ending.length)}-${hash}${ending}`, content);
  }

  /**
   * Packed here, since not every server packs what it sends; the page unpacks it.
   * @param {string} name
   * @param {Uint8Array} content
   */
  async packed(name, content) {
    const gz = gzipSync(content, { level: 9 });
    const path = await this.hashed(`${name}.gz`, gz);
    return { path, bytes: gz.length };
  }
}
