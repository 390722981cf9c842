// Runs pytest in a Python that is WebAssembly: `node pure.mjs VERSION SITE-PACKAGES [ARGUMENT...]`.
// It has no processes, threads or IPv6, and of SITE-PACKAGES it can use what is pure Python.
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [version, packages, ...words] = process.argv.slice(2);
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const { loadPyodide } = await import(`pyodide-${version}`);
const python = await loadPyodide({
  env: { NPTABLES_EXAMPLES: "5", HOME: "/tmp", PYTEST_DISABLE_PLUGIN_AUTOLOAD: "1" },
});
for (const [place, folder] of [["/repository", root], ["/packages", resolve(packages)]]) {
  python.FS.mkdir(place);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: folder }, place);
}
python.globals.set("words", python.toPy(words));
process.exitCode = await python.runPythonAsync(`
import gc, os, sys
os.chdir("/repository")
sys.path[:0] = ["/repository"]
sys.path.append("/packages")
# Where the next run finds it: to compile takes a third of the time before the first test.
sys.dont_write_bytecode, sys.pycache_prefix = False, "/packages/.bytecode"
# What these tests make is little, and no cycle of it matters before the end.
gc.disable()
import pytest
int(pytest.main(list(words)))
`);
