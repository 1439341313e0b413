#!/usr/bin/env bash
# Make a virtual environment of the project: `scripts/setup.sh dev` or `scripts/setup.sh demo`.
# Can be repeated: what is installed already is kept. `make setup` and `make demo` call it.
# `scripts/setup.sh python` prints the interpreter it would take.
#
# PYTHON=/path/to/python chooses the interpreter; pip's own variables (PIP_EXTRA_INDEX_URL, ...)
# pass through. Works with the bash 3.2 of macOS.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly EXPECTED="Python 3.10 to 3.14"
readonly NETWORK_SIGNS="NewConnectionError|ConnectTimeout|ReadTimeout|Read timed out|timed out|\
ProxyError|SSLError|name resolution|Name or service not known|Network is unreachable|\
Connection refused|Connection reset|Connection broken|nodename nor servname"
readonly PROGRESS_SIGNS='^ *Downloading .*\(.* [MG]B\)|^Installing collected'

if [ -n "${PYTHON:-}" ]; then
  candidates=("$PYTHON")
else
  candidates=(python3.13 python3.12 python3.11 python3.10 python3.14 python3)
fi

fail() { # fail LINE...: a readable reason on stderr, then the end
  printf '\nset-up failed: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 1
}

python_version() { # prints 3.11.7; fails where the command does not run, as a pyenv shim may not
  "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null </dev/null
}

is_supported() { # is_supported 3.11.7
  case "$1" in
    3.10.* | 3.11.* | 3.12.* | 3.13.* | 3.14.*) return 0 ;;
    *) return 1 ;;
  esac
}

can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 </dev/null; }

fail_without_venv() { # fail_without_venv PYTHON VERSION
  fail "Python $2 ($1) cannot make virtual environments: its module venv or ensurepip is missing" \
    "on Debian and Ubuntu: apt install python3-venv (or python${2%.*}-venv)" \
    "or choose another interpreter: PYTHON=/path/to/python $retry"
}

find_python() { # sets PYTHON_FOUND and VERSION_FOUND
  local candidate version too_old="" without_venv="" without_venv_version=""
  for candidate in "${candidates[@]}"; do
    version=$(python_version "$candidate") || continue
    if ! is_supported "$version"; then
      too_old="$version ($(command -v "$candidate"))"
    elif ! can_make_venv "$candidate"; then
      without_venv=$(command -v "$candidate")
      without_venv_version=$version
    else
      PYTHON_FOUND=$(command -v "$candidate")
      VERSION_FOUND=$version
      return
    fi
  done
  [ -z "$without_venv" ] || fail_without_venv "$without_venv" "$without_venv_version"
  fail "expected $EXPECTED, found ${too_old:-no Python that runs}" \
    "looked for: ${candidates[*]}" \
    "choose an interpreter: PYTHON=/path/to/python $retry"
}

remove_unusable_venv() { # one whose Python is gone, unsupported, or not the one asked for
  [ -d "$venv" ] || return 0
  local version
  version=$(python_version "$venv/bin/python") || version="broken"
  if is_supported "$version" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    [ -n "${PYTHON:-}" ] || return 0
    [ "$version" != "$VERSION_FOUND" ] || return 0
  fi
  echo "  replacing $venv, whose Python is $version"
  rm -rf "$venv"
}

make_venv() {
  [ ! -d "$venv" ] || return 0
  local log
  if ! log=$("$PYTHON_FOUND" -m venv "$venv" 2>&1); then
    rm -rf "$venv" # half an environment would look like a whole one next time
    printf '%s\n' "$log" >&2
    fail "$PYTHON_FOUND could not make the virtual environment $venv"
  fi
}

install() { # install WHAT...: into the environment, the whole of pip's output in the log
  local log="$venv/setup.log" status=0
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --upgrade-strategy only-if-needed "$@" >"$log" 2>&1 </dev/null &
  local pip=$!
  trap 'kill "$pip" 2>/dev/null || true; fail "interrupted; it can be started again"' INT TERM
  show_progress "$pip" "$log"
  wait "$pip" || status=$?
  trap - INT TERM
  [ "$status" -ne 0 ] || return 0
  grep -E '^ *(ERROR|error)' "$log" | head -n 5 >&2 || true
  if grep -qE "$NETWORK_SIGNS" "$log"; then
    fail "the package index could not be reached" \
      "expected a network, or PIP_INDEX_URL / PIP_FIND_LINKS / a proxy set for pip" \
      "pip's whole output: $log"
  fi
  fail "pip could not install the packages (exit status $status)" "pip's whole output: $log"
}

show_progress() { # show_progress PID LOG: the larger downloads of pip, while it runs
  local shown=0 lines
  while kill -0 "$1" 2>/dev/null; do
    sleep 1
    lines=$(grep -cE "$PROGRESS_SIGNS" "$2") || true
    if [ "$lines" -gt "$shown" ]; then
      grep -E "$PROGRESS_SIGNS" "$2" | tail -n +$((shown + 1)) |
        sed -e 's|Downloading .*/|Downloading |' -e 's/^ *//' -e 's/^Installing.*/Installing/' \
          -e 's/^/  /'
      shown=$lines
    fi
  done
}

case "${1:-}" in
  dev)
    retry="make setup"
    venv=.venv
    what="development: runtime, training, converters, tests, linters"
    size="about 1.2 GB; on Linux without a CPU index of torch 4 GB (see CONTRIBUTING.md)"
    duration="1 to 10 minutes the first time, seconds after that"
    packages=(--editable ".[dev]")
    ;;
  demo)
    retry="make demo"
    venv=.venv-demo
    what="the runtime alone, as users install it: numpy, OpenCV, ONNX Runtime"
    size="about 110 MB"
    duration="less than a minute after the download, seconds after that"
    packages=(".[onnx]")
    ;;
  python)
    retry="scripts/setup.sh python"
    find_python
    echo "$PYTHON_FOUND"
    exit
    ;;
  *)
    echo "usage: scripts/setup.sh dev|demo|python" >&2
    exit 2
    ;;
esac

find_python
echo "Setting up $venv ($what)"
echo "  Python     $VERSION_FOUND ($PYTHON_FOUND)"
echo "  download   $size"
echo "  takes      $duration"
started=$SECONDS
remove_unusable_venv
make_venv
install "${packages[@]}"
echo "  done in $((SECONDS - started)) s"
