#!/usr/bin/env bash
# Rust for root, and from there on the same as on any machine.
set -euo pipefail
# Packages that are brought up to date may have questions.
export DEBIAN_FRONTEND=noninteractive

apt-get --quiet update
# A linker to build xtask with, git for `cargo xtask tidy`.
apt-get --quiet install --yes --no-install-recommends build-essential ca-certificates curl git
if ! [ -x /root/.cargo/bin/rustup ]; then
  curl --proto '=https' --tlsv1.2 --fail --silent --show-error https://sh.rustup.rs | sh -s -- -y --profile minimal
fi
# shellcheck disable=SC1091
. /root/.cargo/env

cd /portreeve
# The tree was copied without .git; tidy asks git which files there are.
[ -e .git ] || git init --quiet
cargo xtask setup
