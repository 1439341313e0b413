#!/usr/bin/env bash
# Install what the web demo is built and tested with: `web_demo/tools/setup.sh`.
# `web_demo/tools/setup.sh check` only says whether Node.js and npm are there.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly EXPECTED="Node.js 20.19 or newer (https://nodejs.org) with npm"

fail() { # fail REASON: on stderr, then the end
  printf 'the web demo needs %s: %s\n' "$EXPECTED" "$1" >&2
  exit 1
}

command -v node >/dev/null || fail "node is not in PATH"
command -v npm >/dev/null || fail "npm is not in PATH"
node -e '
  const [major, minor] = process.versions.node.split(".").map(Number);
  process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);
' || fail "this is Node.js $(node --version)"
[ "${1:-}" = check ] && exit 0

npm ci --no-fund --no-audit --loglevel=error
touch node_modules/.ready
