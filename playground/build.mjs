// Builds the playground: `node build.mjs WHEEL PACKAGES OUT`.
import { createHash } from "node:crypto";
import { readFile, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { Output } from "./build/files.mjs";
import { compiled, pyodideFolder } from "./build/python.mjs";

const [wheel, packages, folder] = process.argv.slice(2);
if (!wheel || !packages || !folder) throw new Error("usage: node build.mjs WHEEL PACKAGES OUT");

/**
 * One entry as one file.
 * @param {string} entry
 * @param {Record<string, unknown>} constants
 */
async function bundled(entry, constants = {}) {
  const done = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    // Pyodide asks for these only where it runs in node.
    external: ["node:*", "ws"],
    logLevel: "warning",
    define: Object.fromEntries(
      Object.entries(constants).map(([name, value]) => [name, JSON.stringify(value)]),
    ),
  });
  return done.outputFiles[0].contents;
}

await rm(folder, { recursive: true, force: true });
const out = new Output(folder);
const pyodide = pyodideFolder();
const made = await compiled(wheel, packages, ["attr", "attrs", "yaml"]);
const parts = {
  wasm: await out.packed("python.wasm", await readFile(join(pyodide, "pyodide.asm.wasm"))),
  library: await out.packed("library.zip", made.library),
  packages: await out.packed("packages.zip", made.bundle),
};
/** @param {string} name a file of Pyodide */
const read = async (name) => JSON.parse(await readFile(join(pyodide, name), "utf8"));
const lock = await read("pyodide-lock.json");
const VERSIONS = {
  nptables: /nptables-([^-]+)-/.exec(basename(wheel))?.[1] ?? "",
  pyodide: (await read("package.json")).version,
};
const examples = await out.hashed("examples.json", made.examples);
const worker = await out.hashed(
  "worker.js",
  await bundled("src/python/worker.ts", { PARTS: parts, LOCK: lock.info, VERSIONS }),
);
const app = await out.hashed(
  "app.js",
  await bundled("src/main.ts", { WORKER: worker, EXAMPLES: examples, VERSIONS }),
);
const style = await out.hashed("style.css", await bundled("src/style.css"));
for (const name of await readdir("static")) {
  if (name !== "index.html") await out.write(name, await readFile(join("static", name)));
}
const page = (await readFile("static/index.html", "utf8"))
  .replace("{{app}}", app)
  .replace("{{style}}", style);
await out.write("index.html", page);
// The page itself goes by the folder's address.
const names = ["./", ...out.files.map((file) => file.name).filter((name) => name !== "index.html")];
const version = createHash("sha256").update(page).update(names.join()).digest("hex").slice(0, 12);
await out.write(
  "service-worker.js",
  await bundled("src/offline/service-worker.ts", { FILES: names, VERSION: version }),
);
for (const { name, bytes } of out.files) console.log(`${String(bytes).padStart(9)} ${name}`);
