#!/usr/bin/env bash
# Run a command with Swift 6 in ios_demo: `ios_demo/tools/swift.sh swift build`.
#
# With the `swift` in PATH where that is version 6, else in the Debian that tools/setup.sh made.
set -euo pipefail
cd "$(dirname "$0")/.."
if tools/setup.sh in-path; then
  exec "$@"
fi
exec tools/enter.sh "$PWD/../.swift/root" "$@"
