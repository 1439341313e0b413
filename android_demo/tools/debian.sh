# For the scripts beside it: packages of another Debian release, unpacked into a folder. Nothing of
# the system is changed; apt checks the signatures. DEBIAN_MIRROR=URL chooses a mirror.

readonly MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

apt_in() { # apt_in FOLDER SUITE ARGUMENT...: apt-get on lists and caches of its own
  local folder=$1 suite=$2
  shift 2
  mkdir -p "$folder"/{lists,cache/archives}/partial
  touch "$folder/status"
  echo "deb [signed-by=$KEYRING] $MIRROR $suite main" >"$folder/sources.list"
  apt-get -qq \
    -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3 \
    -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$folder/lists" -o Dir::State::Status="$folder/status" \
    -o Dir::Cache="$folder/cache" -o Debug::NoLocking=1 -o APT::Update::Error-Mode=any "$@"
}

unpack_from() { # unpack_from SUITE TARGET PACKAGE...: these packages alone; 1 where that fails
  local suite=$1 target=$2 work status=0
  shift 2
  [ -r "$KEYRING" ] || {
    echo "expected Debian's keys at $KEYRING (apt install debian-archive-keyring)" >&2
    return 1
  }
  work=$(mktemp -d)
  {
    apt_in "$work/apt" "$suite" update &&
      (mkdir "$work/debs" && cd "$work/debs" && apt_in "$work/apt" "$suite" download "$@") &&
      mkdir "$work/root" &&
      for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/root"; done &&
      rm -rf "$target" && mkdir -p "$(dirname "$target")" && mv "$work/root" "$target"
  } || status=1
  rm -rf "$work"
  return "$status"
}
