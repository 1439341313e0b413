#!/usr/bin/env bash
# Serve the build: `web_demo/tools/serve.sh`. It prints the address; Ctrl-C ends it.
#
# Browsers give the camera only to https:// and to localhost. WEB_HTTPS=1 serves to the whole local
# network with a certificate made here: a phone opens it after a warning, and without the offline
# copy, for which browsers want a certificate that they trust.
set -euo pipefail
cd "$(dirname "$0")/.."

options=()
if [ "${WEB_HTTPS:-}" = 1 ]; then
  command -v openssl >/dev/null || {
    printf 'WEB_HTTPS=1 needs openssl, which is not in PATH\n' >&2
    exit 1
  }
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  export WEB_DEMO_KEY=$folder/key.pem WEB_DEMO_CERTIFICATE=$folder/certificate.pem
  openssl req -x509 -newkey rsa:2048 -nodes -days 7 -subj "/CN=atpn web demo" \
    -keyout "$WEB_DEMO_KEY" -out "$WEB_DEMO_CERTIFICATE" 2>/dev/null
  options+=(--host)
fi
./node_modules/.bin/vite preview ${options[@]+"${options[@]}"} "$@"
