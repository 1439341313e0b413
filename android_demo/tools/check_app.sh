#!/usr/bin/env bash
# Check of the Gradle project what can be checked without Gradle and Google's repository: every Kotlin
# file and build script is parsed by the compiler's parser; names in build scripts, version catalog,
# manifests and resources fit together. Types are not checked: CameraX and Compose are not here.
#
# `make` hands in PYTHON, KOTLINC and JDK.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly OUT=out/parse
lib=$(dirname "$(dirname "$(readlink -f "$KOTLINC")")")/lib

parse() { "$JDK/bin/java" -cp "$OUT/parse.jar:$lib/*" ParseKotlinKt "$@"; }

"$PYTHON" tools/check_gradle.py
version=$("$KOTLINC" -version 2>&1)
if [[ $version != *"kotlinc-jvm 1.3"* ]]; then
  echo "*** THE APP'S KOTLIN WAS NOT PARSED: that needs the compiler of Debian, Kotlin 1.3" >&2
  exit 0
fi
if [ tools/parse/ParseKotlin.kt -nt "$OUT/parse.jar" ]; then
  mkdir -p "$OUT"
  "$KOTLINC" -cp "$lib/kotlin-compiler.jar" -d "$OUT/parse.jar" tools/parse/ParseKotlin.kt \
    2> >(grep -v 'Options -Xverify:none and -noverify were deprecated' >&2)
fi
# A parser that finds no errors anywhere would look like this one: first, it has to find some.
printf 'class Broken {\n    fun f( = 1\n}\n' >"$OUT/Broken.kt"
if parse "$OUT/Broken.kt" >/dev/null 2>&1; then
  echo "expected the parser to refuse $OUT/Broken.kt, it did not" >&2
  exit 1
fi
parse $(find app core camera2 -name '*.kt') $(find . -maxdepth 2 -name '*.gradle.kts')
