#!/usr/bin/env bash
# Test the Swift packages: `ios_demo/tools/test.sh PYTHON`, a Python with the runtime and onnxruntime.
#
# Takes the `swift` of version 6 in PATH, or the one in .swift/root (tools/setup.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:?expected the Python with the runtime: ios_demo/tools/test.sh PYTHON}
build=$PWD/.build
root=$PWD/../.swift/root
if tools/setup.sh in-path; then
  include=${ATPN_ONNXRUNTIME_INCLUDE:-/usr/include/onnxruntime}
else
  include=$PWD/../.swift/root/usr/include/onnxruntime
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '\n--- %s\n' "$*"; }

expect_in_log() { # expect_in_log TEXT REASON: swift test also succeeds where it finds no tests
  grep -qF "$1" "$log" || {
    printf 'ios_demo: expected "%s" in the output of swift test: %s\n' "$1" "$2" >&2
    exit 1
  }
}

prepare_engine() { # the library of the wheel, and its header
  local library folder=$build/onnxruntime
  [ -r "$include/onnxruntime_c_api.h" ] || return 1
  library=$("$python" -c 'import onnxruntime, pathlib
print(*pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*.*"))') || return 1
  [ -r "$library" ] || return 1
  mkdir -p "$folder/include" "$folder/lib"
  cp "$include"/*.h "$folder/include"
  cmp -s "$library" "$folder/lib/libonnxruntime.so.1" ||
    cp "$library" "$folder/lib/libonnxruntime.so.1"
  ln -sf libonnxruntime.so.1 "$folder/lib/libonnxruntime.so"
  export ATPN_ONNXRUNTIME=$folder
}

say "swift-format"
tools/swift.sh swift format lint --strict --recursive Package.swift Sources Tests App

say "what only Apple's systems can compile, parsed"
tools/swift.sh swiftc -frontend -parse -swift-version 6 \
  $(find Sources/FaceKit Tests/FaceKitTests App -name '*.swift')

"$python" tools/reference.py "$build/reference"
export ATPN_REFERENCE=$build/reference
engine="ONNX Runtime"
prepare_engine || engine=$([ "$(uname -s)" = Darwin ] && echo "Core ML" || echo "no engine")
say "swift test, with $engine"
tools/swift.sh swift build --build-tests --jobs "${ATPN_SWIFT_JOBS:-2}"
tools/swift.sh swift test --skip-build 2>&1 | tee "$log" | grep -vE '^◇|^Test Suite|Executed 0 tests'
expect_in_log "Suite GoldenTests passed" "the golden vectors were not read"
if [ "$engine" = "ONNX Runtime" ]; then
  expect_in_log "Suite ClipTests passed" "the networks did not run"
elif [ "$engine" = "Core ML" ]; then
  expect_in_log "Suite CoreMLTests passed" "the networks did not run"
else
  printf '\n*** The networks did NOT run: expected onnxruntime_c_api.h in %s\n' "$include"
  printf '*** and onnxruntime in %s. The stage end_to_end was not tested.\n' "$python"
fi
