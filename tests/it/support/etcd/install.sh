#!/usr/bin/env bash
# Builds etcd, for the tests that need one, into target/etcd (or the folder named): with Go from its modules, at the
# version of go.mod beside this script; without Go, Debian's etcd-server if that can be installed. About two minutes.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
target="${1:-${CARGO_TARGET_DIR:-$here/../../../../target}/etcd}"
mkdir -p "$target"
if cmp -s "$here/go.sum" "$target/installed.sum" && "$target/etcd" --version >/dev/null 2>&1; then
  exit 0
fi
if command -v go >/dev/null; then
  # `go install module@version` does not take modules with replace directives, as etcd's is. So it is built as a
  # dependency of a module without code of its own.
  build="$(mktemp -d)"
  trap 'rm -rf "$build"' EXIT
  cp "$here/go.mod" "$here/go.sum" "$build"
  (cd "$build" && GOFLAGS=-mod=mod go build -trimpath -ldflags '-s -w' -o "$target/etcd" go.etcd.io/etcd/server/v3)
elif command -v apt-get >/dev/null && [[ "$(id -u)" == 0 ]]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq etcd-server
  ln -sf "$(command -v etcd)" "$target/etcd"
else
  echo "etcd takes Go 1.26 or later (https://go.dev/dl), or Debian's etcd-server" >&2
  exit 1
fi
cp "$here/go.sum" "$target/installed.sum"
"$target/etcd" --version | sed -n 1p
