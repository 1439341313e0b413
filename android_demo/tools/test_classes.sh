#!/usr/bin/env bash
# The names of the test classes among Kotlin files, for JUnit: `test_classes.sh FILE...`.
set -euo pipefail
for file in "$@"; do
  case "$file" in
    *Test.kt)
      file=${file#*/kotlin/}
      file=${file%.kt}
      echo "${file//\//.}"
      ;;
  esac
done
