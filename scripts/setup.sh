#!/bin/sh
# Make .venv with the locked dependencies and this checkout in it. Does nothing where that is done already.
#
# PYTHON=... chooses the interpreter; without it the first suitable one of CANDIDATES is taken. Pythons known to suit: 3.11 to 3.14.
set -eu

CANDIDATES="python3 python3.14 python3.13 python3.12 python3.11"
VERSION_FITS='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'

fail() {
    echo "error: $*" >&2
    exit 1
}

is_suitable() {
    "$1" -c "$VERSION_FITS" >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_suitable "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 to 3.14: unset PYTHON or name another one"
        echo "$PYTHON"
        return
    fi
    for name in $CANDIDATES; do
        if is_suitable "$name"; then
            echo "$name"
            return
        fi
    done
    fail "Python 3.11 or newer is needed, up to 3.14: sudo apt install python3 python3-venv"
}

check_venv_module() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    fail "$1 cannot make virtual environments: sudo apt install $package"
}

# What .venv was made from: its stamp holds this once everything is installed.
fingerprint() {
    pwd
    cat requirements-dev.lock pyproject.toml agent/__init__.py scripts/setup.sh | cksum
}

is_ready() {
    [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANTED" ] && is_suitable .venv/bin/python
}

# Only a .venv that was completed once, here, and still runs is built upon.
can_be_updated() {
    [ -f "$STAMP" ] && [ "$(head -n 1 "$STAMP")" = "$(pwd)" ] && is_suitable .venv/bin/python
}

quietly() {
    if ! "$@" >"$LOG" 2>&1; then
        cat "$LOG" >&2
        fail "could not set up .venv: the output above says why"
    fi
}

install() {
    quietly .venv/bin/python -m pip install --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: -r requirements-dev.lock
    # `compat` puts this folder on the path: new modules are found without installing again.
    quietly .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-index --no-deps \
        --no-build-isolation --config-settings editable_mode=compat --editable .
}

cd "$(dirname "$0")/.."
STAMP=.venv/.complete
LOG=.venv/setup.log
WANTED=$(fingerprint)
is_ready && exit 0

command -v git >/dev/null 2>&1 || fail "git is needed: sudo apt install git"
python=$(find_python)
check_venv_module "$python"

# One at a time: a second `make` waits for the first, then finds its work done.
if command -v flock >/dev/null 2>&1; then
    exec 9<scripts/setup.sh
    flock 9
    is_ready && exit 0
fi

if can_be_updated; then
    echo "updating .venv"
    rm -f "$STAMP"
else
    echo "making .venv with $("$python" --version)"
    rm -rf .venv
    mkdir .venv
    quietly "$python" -m venv .venv
fi
install
echo "$WANTED" >"$STAMP.new"
mv "$STAMP.new" "$STAMP"
