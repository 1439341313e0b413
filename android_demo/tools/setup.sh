#!/usr/bin/env bash
# Find or install what the core's tests need: `android_demo/tools/setup.sh`.
# `android_demo/tools/setup.sh check` only says what is missing.
#
# Kotlin's compiler, JUnit 4 and Android's JSON reader come from Debian or Ubuntu by apt-get (as root
# or by sudo without a password); the header of ONNX Runtime's C API is unpacked from Debian 13 into
# .tools/. What this machine has elsewhere can be named: KOTLINC with
# KOTLIN_STDLIB, JUNIT_JARS, JSON_JAR, JAVA_HOME, ORT_INCLUDE. Prints where all of it is, for make.
set -euo pipefail

if [ $# -gt 1 ] || { [ $# -eq 1 ] && [ "$1" != check ]; }; then
  printf 'expected no argument, or "check", got: %s\n' "$*" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
. tools/debian.sh

readonly JARS=/usr/share/java

fail() { # fail LINE...: a readable reason on stderr, then the end
  printf '\nthe tests of the Android core cannot run: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 1
}

find_tools() { # sets what is there, and `packages` to what is missing
  packages=()
  kotlinc=${KOTLINC:-$(command -v kotlinc || true)}
  stdlib=${KOTLIN_STDLIB:-$JARS/kotlin-stdlib.jar}
  { [ -n "$kotlinc" ] && [ -r "$stdlib" ]; } || packages+=(kotlin)
  junit=${JUNIT_JARS:-}
  if [ -z "$junit" ]; then
    junit=$JARS/junit4.jar:$JARS/hamcrest-core.jar
    { [ -r $JARS/junit4.jar ] && [ -r $JARS/hamcrest-core.jar ]; } || packages+=(junit4)
  fi
  json=${JSON_JAR:-$JARS/com.android.json.jar}
  [ -r "$json" ] || packages+=(libandroid-json-java)
  jdk=$(java_home)
  [ -n "$jdk" ] || packages+=(openjdk-17-jdk-headless)
  command -v cc >/dev/null || packages+=(gcc libc6-dev)
  find_header || [ -r "$KEYRING" ] || packages+=(debian-archive-keyring) # to check the header's package
}

java_home() { # the JDK of the `javac` in PATH, or JAVA_HOME; nothing where JNI's header lacks
  local home=${JAVA_HOME:-}
  [ -n "$home" ] || ! command -v javac >/dev/null ||
    home=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
  if [ -n "$home" ] && [ -r "$home/include/jni.h" ]; then echo "$home"; fi
}

install_packages() { # install_packages PACKAGE...
  local as_root=()
  command -v apt-get >/dev/null || fail "missing: $*" "these are names of Debian's packages"
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || fail "missing: $*" "apt install $*"
    as_root=(sudo -n)
  fi
  echo "installing $*" >&2
  ${as_root[@]+"${as_root[@]}"} apt-get update -qq >&2 || true # a foreign list may be out of order
  DEBIAN_FRONTEND=noninteractive ${as_root[@]+"${as_root[@]}"} \
    apt-get install -y -qq --no-install-recommends "$@" >&2 || fail "apt-get could not install $*"
}

find_header() { # sets `include` to the folder of onnxruntime_c_api.h; 1 where there is none
  local folder
  for folder in "${ORT_INCLUDE:-}" .tools/onnxruntime/usr/include/onnxruntime \
    /usr/include/onnxruntime; do
    if [ -n "$folder" ] && [ -r "$folder/onnxruntime_c_api.h" ]; then
      include=$(cd "$folder" && pwd)
      return
    fi
  done
  return 1
}

find_tools
if [ "${1:-}" = check ]; then
  [ ${#packages[@]} -eq 0 ] || fail "missing: ${packages[*]}"
  find_header || fail "missing: onnxruntime_c_api.h"
  exit 0
fi
if [ ${#packages[@]} -gt 0 ]; then
  install_packages "${packages[@]}"
  find_tools
  [ ${#packages[@]} -eq 0 ] || fail "still missing after apt-get: ${packages[*]}"
fi
if ! find_header; then
  echo "unpacking the header of ONNX Runtime from Debian 13" >&2
  unpack_from trixie .tools/onnxruntime libonnxruntime-dev && find_header ||
    fail "the header of ONNX Runtime's C API could not be had from Debian 13 ($MIRROR)" \
      "name the folder of onnxruntime_c_api.h: ORT_INCLUDE=/path make android-test" \
      "(it is in every C/C++ release of ONNX Runtime, and in its Android archive as headers/)"
fi
printf '%s=%s\n' KOTLINC "$kotlinc" KOTLIN_STDLIB "$stdlib" JUNIT "$junit" JSON "$json" JDK "$jdk" ORT_INCLUDE "$include"
