// What Python needs, compiled by the Python that will run it: in a browser that takes most of the start.
import { readFile, realpath } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { loadPyodide } from "pyodide";

// Of the library: what needs processes, sockets, a terminal or a developer. Of ours: what needs a machine,
// or Jinja2. Nothing of it can be reached from nptables.playground.
const NOT_LIBRARY = `
  _pyrepl bdb cProfile cmd configparser ctypes doctest email ftplib http imaplib mailbox modulefinder
  multiprocessing netrc optparse pdb pickletools plistlib poplib profile pstats pty pyclbr pydoc rlcompleter
  smtplib socketserver sqlite3 statistics tabnanny trace tracemalloc turtle unittest uuid wave webbrowser
  wsgiref xml xmlrpc zipapp
`;
const NOT_OURS = "agent cli kernel reporting testing";

const COMPILE = `
import compileall, io, json, pathlib, py_compile, shutil, sys, zipfile

def unpacked(archive, folder):
    with zipfile.ZipFile(archive) as files:
        files.extractall(folder)
    return pathlib.Path(folder)

def packed(folder, place):
    """An archive of a folder with bytecode in the place of sources; not packed, since the whole is."""
    compileall.compile_dir(
        folder, quiet=2, legacy=True, stripdir=str(folder), prependdir=place, optimize=2,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as bundle:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".typed"):
                # No time: the same sources give the same bytes.
                bundle.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes())
    return kept.getvalue()

def without(folder, names):
    for name in names.split():
        (folder / f"{name}.py").unlink(missing_ok=True)
        shutil.rmtree(folder / name, ignore_errors=True)

library = unpacked("/library", "/standard")
without(library, not_library)
bundle = unpacked("/wheel", "/bundle")
without(bundle / "nptables", not_ours)
for name in names:
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyx", "*.pyi")
    shutil.copytree(f"/packages/{name}", bundle / name, ignore=ignored)
sys.path.insert(0, str(bundle))
from nptables.playground import answer

reply = json.loads(answer(json.dumps({"ask": "examples"})))
packed(library, "/lib/python.zip"), packed(bundle, "/packages"), json.dumps(reply["result"], ensure_ascii=False)
`;

/**
 * Two archives of bytecode, of the standard library and of the wheel with the folders `names` beside
 * it; and the examples.
 * @param {string} wheel
 * @param {string} packages the folder that holds what requirements/wasm.txt locks
 * @param {string[]} names
 */
export async function compiled(wheel, packages, names) {
  const python = await loadPyodide({ indexURL: pyodideFolder() });
  python.FS.writeFile("/wheel", await readFile(wheel));
  python.FS.writeFile("/library", await readFile(join(pyodideFolder(), "python_stdlib.zip")));
  python.FS.mkdir("/packages");
  python.FS.mount(python.FS.filesystems.NODEFS, { root: await realpath(packages) }, "/packages");
  for (const [name, value] of Object.entries({ not_library: NOT_LIBRARY, not_ours: NOT_OURS })) {
    python.globals.set(name, value);
  }
  python.globals.set("names", python.toPy(names));
  const made = python.runPython(COMPILE);
  const [library, bundle, examples] = made.toJs();
  made.destroy();
  return { library, bundle, examples };
}

/** Where npm has put Pyodide. */
export function pyodideFolder() {
  return dirname(fileURLToPath(import.meta.resolve("pyodide"))) + "/";
}
