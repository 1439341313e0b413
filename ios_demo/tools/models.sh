#!/usr/bin/env bash
# Copy the Core ML packages of the app into App/AtpnDemo/Models, each verified by the manifest's
# hash: `ios_demo/tools/models.sh [PRECISION]`, float16 by default.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/swift.sh swift run --quiet copy-models "$PWD/../models" "$PWD/App/AtpnDemo/Models" "$@"
