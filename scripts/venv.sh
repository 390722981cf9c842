# Sourced by the other scripts: `fresh_venv DIR LOCK` installs what is locked, and nptables itself from
# here, into a virtual environment, unless that was done since the lock or pyproject.toml last changed.

: "${PYTHON:=python3}"

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

python_version() { "$1" -c 'import sys; print(sys.version)' 2>/dev/null; }

require_python() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        die "nptables needs Python 3.11 or later, and '$PYTHON' is not: name one with PYTHON=..."
}

# What stands in the virtual environment is a file's content and not its time: a checkout sets any.
fresh_venv() {
    local venv=$1 lock=$2 mark
    require_python
    mark=$(pwd && cat "$lock" requirements/build.txt pyproject.toml)
    if [ ! -x "$venv/bin/pip" ] ||
        [ "$(python_version "$venv/bin/python")" != "$(python_version "$PYTHON")" ]; then
        "$PYTHON" -m venv --clear "$venv" ||
            die "'$PYTHON -m venv' failed; on Debian and Ubuntu it needs the package python3-venv."
    fi
    if [ -f "$venv/.installed" ] && [ "$(cat "$venv/.installed")" = "$mark" ]; then
        return
    fi
    say "Installing into $venv ..."
    { [ "$lock" = requirements/run.txt ] || install_locked "$venv" -r requirements/uv.txt; } &&
        install_locked "$venv" -r requirements/build.txt -r "$lock" && install_here "$venv" ||
        die "The packages for $venv could not be installed: see pip's message above."
    printf '%s\n' "$mark" >"$venv/.installed"
}

# With bytecode: uv leaves it to the first import, and where PYTHONDONTWRITEBYTECODE is set to every one.
install_locked() {
    local venv=$1
    shift
    if [ -x "$venv/bin/uv" ] && with_pips_index "$venv" "$venv/bin/uv" pip install --quiet --compile-bytecode \
        --python "$venv/bin/python" --require-hashes "$@"; then
        return
    fi
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes "$@"
}

# uv does not read what pip is told of an index.
with_pips_index() {
    local venv=$1 index
    shift
    index=${PIP_INDEX_URL:-$("$venv/bin/python" -m pip config get global.index-url 2>/dev/null || true)}
    if [ -n "$index" ]; then
        UV_DEFAULT_INDEX=$index "$@"
    else
        "$@"
    fi
}

# By the locked build backend: an isolated build would take the newest.
install_here() {
    "$1/bin/python" -m pip install -qq --disable-pip-version-check \
        --no-deps --no-build-isolation -e .
}
