// What Python needs, compiled by the Python that will run it: a browser would take seconds for it.
import { readFile, realpath } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { dirname } from "node:path";
import { loadPyodide } from "pyodide";

const COMPILE = `
import compileall, io, json, pathlib, py_compile, shutil, sys, zipfile

root = pathlib.Path("/bundle")
for name in names:
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyx", "*.pyi")
    shutil.copytree(f"/packages/{name}", root / name, ignore=ignored)
with zipfile.ZipFile("/wheel") as wheel:
    wheel.extractall(root)
compileall.compile_dir(
    root, quiet=2, legacy=True, stripdir=str(root), optimize=0,
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
)
kept = io.BytesIO()
with zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as bundle:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix != ".py":
            # No time: the same sources give the same bytes.
            bundle.writestr(zipfile.ZipInfo(str(path.relative_to(root))), path.read_bytes())
sys.path.insert(0, str(root))
from nptables.playground import answer

reply = json.loads(answer(json.dumps({"ask": "examples"})))
kept.getvalue(), json.dumps(reply["result"], ensure_ascii=False)
`;

/**
 * One archive of the wheel and of the folders `names` beside it, as bytecode; and the examples.
 * @param {string} wheel
 * @param {string} packages the folder that holds what requirements/wasm.txt locks
 * @param {string[]} names
 */
export async function compiled(wheel, packages, names) {
  const python = await loadPyodide({ indexURL: pyodideFolder() });
  python.FS.writeFile("/wheel", await readFile(wheel));
  python.FS.mkdir("/packages");
  python.FS.mount(python.FS.filesystems.NODEFS, { root: await realpath(packages) }, "/packages");
  python.globals.set("names", python.toPy(names));
  const made = python.runPython(COMPILE);
  const [bundle, examples] = made.toJs();
  made.destroy();
  return { bundle, examples };
}

/** Where npm has put Pyodide. */
export function pyodideFolder() {
  return dirname(fileURLToPath(import.meta.resolve("pyodide"))) + "/";
}
