#!/usr/bin/env bash
# Get Swift 6 for the iOS demo's tests: `ios_demo/tools/setup.sh`.
# `ios_demo/tools/setup.sh in-path` only says whether PATH has one.
#
# A `swift` of version 6 in PATH is used as it is. Elsewhere, on Linux on x86-64 and as root, a
# Debian 13 with its package swiftlang is unpacked into .swift/root (download about 800 MB, on disk
# 3.5 GB). Nothing of the system is changed, but that debootstrap is installed where it is missing;
# `rm -rf .swift` removes it all. Can be repeated: what is there is kept, what was downloaded by an
# interrupted run is used again. DEBIAN_MIRROR=URL chooses a mirror.
set -euo pipefail

if [ $# -gt 1 ] || { [ $# -eq 1 ] && [ "$1" != in-path ]; }; then
  printf 'expected no argument, or "in-path", got: %s\n' "$*" >&2
  exit 2
fi

readonly SUITE=trixie
# For the tests that run the networks. Only the header of ONNX Runtime's C API is taken: its library
# comes from the Python wheel, so that Swift and Python run the same one.
readonly HEADER_PACKAGE=libonnxruntime-dev
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# The C library and its headers are what Swift links with.
readonly PACKAGES=swiftlang,libc6-dev,libstdc++-14-dev,ca-certificates
readonly VERSION="$SUITE $PACKAGES $HEADER_PACKAGE"

sources=$(cd "$(dirname "$0")" && pwd)
readonly dir=$sources/../../.swift
readonly log=$dir/setup.log

fail() { # fail REASON HINT...: a readable reason on stderr, then the end
  printf '\nno Swift 6 for the tests of ios_demo: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 1
}

has_swift() {
  [[ "$(swift --version 2>/dev/null)" =~ Swift\ version\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 6 ]
}

has_root() { [ "$(cat "$dir/root/.version" 2>/dev/null)" = "$VERSION" ]; }

check_system() {
  local hint="install Swift 6 (https://www.swift.org/install) and put it into PATH"
  [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] ||
    fail "expected Linux on x86_64, this is $(uname -s) $(uname -m)" "$hint"
  [ "$(id -u)" -eq 0 ] || fail "a Debian root can be made by root only" "$hint"
  unshare --mount true 2>/dev/null || fail "this container may not mount" "$hint"
  command -v debootstrap >/dev/null || command -v apt-get >/dev/null ||
    fail "expected debootstrap, or apt-get to install it with" "$hint"
}

install_debootstrap() {
  command -v debootstrap >/dev/null && [ -r "$KEYRING" ] && return
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      debootstrap debian-archive-keyring ||
    fail "debootstrap could not be installed"
}

fail_with_log() { # fail_with_log REASON
  tail -n 5 "$log" >&2
  fail "$1, its output is in .swift/setup.log" "run this again: what was downloaded is kept"
}

unpack() { # into a folder beside root/, which is moved there whole
  rm -rf "$dir"/.work-* # of a run that was killed
  work=$(mktemp -d "$dir/.work-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM
  mkdir -p "$dir/debs"
  chmod 755 "$work"
  # What is mounted meanwhile is seen by these processes alone and goes away with them.
  unshare --mount --propagation private debootstrap --variant=minbase --keyring="$KEYRING" \
    --include="$PACKAGES" --cache-dir="$dir/debs" "$SUITE" "$work/root" "$MIRROR" \
    >"$log" 2>&1 || fail_with_log "debootstrap ended with an error"
  "$sources/enter.sh" "$work/root" sh -ec "
    cd /tmp
    apt-get -q update
    apt-get -q download $HEADER_PACKAGE
    dpkg -x $HEADER_PACKAGE*.deb /
    rm $HEADER_PACKAGE*.deb
    swift --version
  " >>"$log" 2>&1 || fail_with_log "the new Debian could not be completed"
  rm -rf "$work/root/var/cache/apt/archives"/*.deb "$work/root/var/lib/apt/lists"/*
  echo "$VERSION" >"$work/root/.version"
  rm -rf "${dir:?}/root"
  mv "$work/root" "$dir/root"
  rm -rf "$dir/debs"
}

has_swift && exit 0
[ "${1:-}" != in-path ] || exit 1
has_root && exit 0
check_system
mkdir -p "$dir"
install_debootstrap
started=$SECONDS
echo "Unpacking a Debian 13 with Swift into .swift/root: 3.5 GB on disk, a few minutes"
unpack
echo "Ready after $((SECONDS - started)) s"
