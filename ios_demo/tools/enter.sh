#!/usr/bin/env bash
# Run a command in an unpacked Debian: `ios_demo/tools/enter.sh ROOT COMMAND...`, as root.
#
# The repository is seen there under the path it has here. Everything is mounted in a namespace of
# these processes alone: it goes away with them, however they end, and `rm -rf ROOT` never meets a
# mounted folder.
set -euo pipefail

if [ "${1:-}" != --mounted ]; then
  exec unshare --mount --propagation private "$0" --mounted "$@"
fi
shift
root=$(cd "$1" && pwd)
shift
repository=$(cd "$(dirname "$0")/../.." && pwd)
mount --rbind /proc "$root/proc" # programs find their libraries by it
mount --rbind /dev "$root/dev"
mkdir -p "$root$repository"
mount --bind "$repository" "$root$repository"
# No variables of this system but those that the tests are given.
variables=(HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin:/usr/sbin:/sbin)
for name in $(compgen -e | grep -E '^(ATPN_|https?_proxy$|no_proxy$)'); do
  variables+=("$name=${!name}")
done
exec chroot "$root" /usr/bin/env -i "${variables[@]}" \
  /bin/sh -c 'cd "$0" && exec "$@"' "$repository/ios_demo" "$@"
