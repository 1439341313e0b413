#!/usr/bin/env bash
# Fetch what `python -m benchmarks arm` needs: `benchmarks/arm/install.sh [DIR]`, .arm by default.
#
# Everything comes from Debian and PyPI and is unpacked into DIR; nothing is installed, nothing of
# the system is changed, no root rights are needed. `rm -rf DIR` removes it all. Can be repeated:
# a part that is there in this version is kept.
#
#   host/    QEMU 7.2 for user programs (the last in Debian whose plugins see system calls and
#            which is not linked statically), two C compilers and their libraries, for x86-64
#   root/    an ARM Debian: the C library and Python 3.11
#   site/    the wheels for ARM: numpy, OpenCV, ONNX Runtime, LiteRT
#   include/ the header of ONNX Runtime's C API
#   cores/   per core a view of root/ with the /proc/cpuinfo of that core
#   bin/     the plugin and the driver, compiled from the sources beside this script
#
# DEBIAN_MIRROR=URL chooses a mirror, PYTHON=/path/to/python the interpreter whose pip downloads;
# pip's own variables pass through.
set -euo pipefail

readonly MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly QEMU_VERSION=7.2
readonly ARM_PYTHON=3.11
# The engines in the versions that the project converts with: see `convert` in pyproject.toml.
readonly WHEELS=(
  numpy==2.4.6 opencv-python-headless==5.0.0.93 onnxruntime==1.31.1 ai-edge-litert==2.3.0
)
readonly HOST_PACKAGES=(qemu-user gcc-12 libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
readonly ARM_PACKAGES=(python3.11 libstdc++6 libgomp1)
readonly NOT_NEEDED='^(lib[a-z]*san[0-9]|libgprofng|libitm|libquadmath|dpkg$|tar$)'

fail() { # fail LINE...: a readable reason on stderr, then the end
  printf '\ninstallation failed: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 1
}

step() { printf '%s\n' "$*"; }

check_system() {
  local machine
  machine="$(uname -s) $(uname -m)"
  [ "$machine" = "Linux x86_64" ] ||
    fail "expected Linux on x86_64, this is $machine" "the emulator's packages are for that alone"
  local tool
  for tool in apt-get dpkg-deb sha256sum; do
    command -v "$tool" >/dev/null ||
      fail "expected the command $tool, it is missing" "Debian and Ubuntu have it"
  done
  [ -r "$KEYRING" ] ||
    fail "expected Debian's keys at $KEYRING" "apt install debian-archive-keyring"
  "$PYTHON" -m pip --version >/dev/null 2>&1 ||
    fail "expected a Python with pip, '$PYTHON -m pip' does not run" \
      "choose one: PYTHON=/path/to/python $0"
}

apt_in() { # apt_in FOLDER SUITE ARCHITECTURE ARGUMENT...: apt-get on lists and caches of its own
  local folder=$1 suite=$2 architecture=$3
  shift 3
  mkdir -p "$folder"/{lists,cache/archives}/partial
  touch "$folder/status"
  echo "deb [signed-by=$KEYRING] $MIRROR $suite main" >"$folder/sources.list"
  apt-get -qq \
    -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3 \
    -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$folder/lists" -o Dir::State::Status="$folder/status" \
    -o Dir::Cache="$folder/cache" -o Debug::NoLocking=1 -o APT::Update::Error-Mode=any "$@"
}

unpack_debian() { # unpack_debian TARGET SUITE ARCHITECTURE PACKAGE...: with all they depend on
  local target=$1 suite=$2 architecture=$3
  shift 3
  local apt="$work/apt-$suite-$architecture" names
  apt_in "$apt" "$suite" "$architecture" update || fail "Debian could not be reached: $MIRROR"
  names=$(apt_in "$apt" "$suite" "$architecture" -s --no-install-recommends install "$@" |
    awk '/^Inst/ { print $2 }' | grep -vE "$NOT_NEEDED") ||
    fail "Debian $suite has no $* for $architecture"
  unpack_packages "$target" "$suite" "$architecture" $names
}

unpack_packages() { # unpack_packages TARGET SUITE ARCHITECTURE PACKAGE...: these alone
  local target=$1 suite=$2 architecture=$3 package
  shift 3
  mkdir -p "$work/debs" "$target"
  (cd "$work/debs" && apt_in "$work/apt-$suite-$architecture" "$suite" "$architecture" \
    download "$@") || fail "the packages of Debian $suite could not be downloaded"
  for package in "$work/debs"/*.deb; do
    dpkg-deb -x "$package" "$target"
    dpkg-deb -W --showformat='${Package} ${Version}\n' "$package" >>"$target/versions"
    rm "$package"
  done
}

get_host() {
  unpack_debian "$1" bookworm amd64 "${HOST_PACKAGES[@]}"
  grep -qF " 1:$QEMU_VERSION" <(grep '^qemu-user ' "$1/versions") ||
    fail "expected QEMU $QEMU_VERSION, got $(grep '^qemu-user ' "$1/versions")"
}

get_root() { unpack_debian "$1" bookworm arm64 "${ARM_PACKAGES[@]}"; }

get_site() {
  local platform platforms=() wheel
  for platform in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${platform}_aarch64")
  done
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --implementation cp --python-version "$ARM_PYTHON" "${platforms[@]}" \
    --dest "$work/wheels" "${WHEELS[@]}" || fail "pip could not download ${WHEELS[*]}"
  for wheel in "$work/wheels"/*.whl; do "$PYTHON" -m zipfile -e "$wheel" "$1"; done
  ln -s "$(cd "$1/onnxruntime/capi" && echo libonnxruntime.so.*.*)" \
    "$1/onnxruntime/capi/libonnxruntime.so.1" # the name by which programs ask for it
  printf '%s\n' "${WHEELS[@]/==/ }" >"$1/versions"
}

get_include() {
  apt_in "$work/apt-trixie-amd64" trixie amd64 update || fail "Debian could not be reached: $MIRROR"
  # Older than the library, which adds to its functions and changes none.
  unpack_packages "$1" trixie amd64 libonnxruntime-dev
}

# `-L` of QEMU takes /proc/cpuinfo and /sys from here: the engines choose their kernels by the part
# number, and ONNX Runtime does not start with the file of an x86. Numbers: the MIDR of real cores,
# those of a Raspberry Pi 3 (A53 r0p4), RK3566 (A55 r2p0) and Raspberry Pi 5 (A76 r4p1).
make_core() { # make_core FOLDER PART VARIANT REVISION FEATURE...
  local folder=$1 part=$2 variant=$3 revision=$4 processor name
  shift 4
  mkdir -p "$folder/proc" "$folder/sys/devices/system/cpu"
  for name in lib usr etc; do ln -s "../../root/$name" "$folder/$name"; done
  for processor in 0 1 2 3; do
    printf '%s\t: %s\n' processor "$processor" BogoMIPS 38.40 Features "$*" \
      'CPU implementer' 0x41
    printf 'CPU architecture: 8\nCPU variant\t: %s\nCPU part\t: %s\nCPU revision\t: %s\n\n' \
      "$variant" "$part" "$revision"
  done >"$folder/proc/cpuinfo"
  for name in possible present online; do
    echo 0-3 >"$folder/sys/devices/system/cpu/$name"
  done
}

get_cores() {
  local v80="fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
  local v82="$v80 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
  make_core "$1/a53" 0xd03 0x0 4 $v80
  make_core "$1/a55" 0xd05 0x2 0 $v82
  make_core "$1/a76" 0xd0b 0x4 1 $v82
  : >"$1/versions"
}

with_compilers() {
  LD_LIBRARY_PATH="$dir/host/usr/lib/x86_64-linux-gnu" PATH="$dir/host/usr/bin:$PATH" "$@" ||
    fail "a compiler of Debian 12 did not work here" "expected a C library of version 2.36 or newer"
}

get_bin() {
  mkdir -p "$1"
  with_compilers x86_64-linux-gnu-gcc-12 --sysroot="$dir/host" -std=c11 -O2 -Wall -Wextra -Werror \
    -fPIC -shared -o "$1/plugin.so" "$sources/plugin.c"
  with_compilers aarch64-linux-gnu-gcc --sysroot="$dir/host" -std=gnu11 -O2 -Wall -Wextra -Werror \
    -I "$dir/include/usr/include/onnxruntime" -o "$1/onnx_driver" "$sources/onnx_driver.c" \
    -L "$dir/site/onnxruntime/capi" -l:libonnxruntime.so.1 -Wl,--allow-shlib-undefined
  : >"$1/versions"
}

part() { # part NAME VERSION DESCRIPTION: make DIR/NAME whole, or keep it
  local name=$1 version=$2 started=$SECONDS
  if [ "$(cat "$dir/$name/.version" 2>/dev/null)" = "$version" ]; then
    step "$name/: is there"
    return
  fi
  step "$name/: $3"
  rm -rf "${dir:?}/$name"
  "get_$name" "$work/$name"
  echo "$version" >"$work/$name/.version"
  mv "$work/$name" "$dir/$name"
  step "  $(du -sh "$dir/$name" | cut -f1), $((SECONDS - started)) s"
}

write_versions() { # every package that took part, as JSON
  "$PYTHON" - "$dir" <<'PYTHON'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
versions = {}
for part in ("host", "root", "site", "include"):
    lines = (folder / part / "versions").read_text(encoding="utf-8").splitlines()
    versions[part] = dict(sorted(line.split(" ", 1) for line in lines))
text = json.dumps(versions, indent=2) + "\n"
(folder / "versions.json").write_text(text, encoding="utf-8")
PYTHON
}

try_it() {
  local expected=4 got
  got=$("$dir/host/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \
    --library-path "$dir/host/lib/x86_64-linux-gnu:$dir/host/usr/lib/x86_64-linux-gnu" \
    "$dir/host/usr/bin/qemu-aarch64" -cpu cortex-a76 -L "$dir/cores/a76" \
    -E PYTHONDONTWRITEBYTECODE=1 -E PYTHONPATH="$dir/site" -E ORT_DISABLE_TELEMETRY=1 \
    "$dir/root/usr/bin/python$ARM_PYTHON" -c \
    'import cv2, numpy, onnxruntime, ai_edge_litert.interpreter; print(numpy.int64(2) + 2)') ||
    fail "the emulated Python did not run" "remove $dir and try again"
  [ "$got" = "$expected" ] || fail "the emulated Python printed '$got' instead of $expected"
}

case "${1:-}" in
  -*)
    sed -n '2,/^set/p' "$0" | sed -e '/^set/d' -e 's/^# \{0,1\}//'
    exit 2
    ;;
esac
sources=$(cd "$(dirname "$0")" && pwd)
if [ -z "${PYTHON:-}" ]; then
  PYTHON=$sources/../../.venv/bin/python
  [ -x "$PYTHON" ] || PYTHON=python3
fi
check_system
mkdir -p "${1:-$sources/../../.arm}" || fail "the folder ${1:-.arm} cannot be made"
dir=$(cd "${1:-$sources/../../.arm}" && pwd)
[ -e "$dir/.made-by-install" ] || [ -z "$(ls -A "$dir")" ] ||
  fail "expected an empty folder, or one of this script: $dir"
touch "$dir/.made-by-install"
work=$(mktemp -d "$dir/.work-XXXXXX") # beside the parts: a part is moved there whole
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

step "Setting up $dir: download about 210 MB, on disk about 760 MB, a minute or two"
part host "$(printf '%s ' "$QEMU_VERSION" "${HOST_PACKAGES[@]}")" "QEMU and compilers, from Debian 12"
part root "$(printf '%s ' "${ARM_PACKAGES[@]}")" "Python $ARM_PYTHON for ARM, from Debian 12"
part site "$(printf '%s ' "${WHEELS[@]}")" "numpy, OpenCV and the engines for ARM, from PyPI"
part include "libonnxruntime-dev" "the header of ONNX Runtime, from Debian 13"
part cores "$(sha256sum <"$sources/install.sh")" "the views of the cores"
part bin "$(cat "$sources"/*.[ch] "$dir"/{host,site,include}/versions | sha256sum)" \
  "the plugin and the driver"
write_versions
try_it
step "Ready: python -m benchmarks arm --dir $dir"
