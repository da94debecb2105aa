#!/bin/sh
# install-deps.sh [LIST]: installs the Debian packages of a list (tools/packages.txt) that are missing. Needs a shell and
# apt, nothing else; does nothing, quickly, when everything is there.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh

wanted=
# shellcheck disable=SC2013 # words: one package each
for line in $(sed -e 's/#.*//' "${1:-tools/packages.txt}"); do
  package=${line%/*} command=${line#"${line%/*}"}
  [ -n "$command" ] && command -v "${command#/}" >/dev/null 2>&1 || wanted="$wanted $package"
done
[ -n "$wanted" ] || exit 0

missing_packages() {
  # dpkg-query fails for a package it has never heard of, which is an answer here.
  # shellcheck disable=SC2086 # one argument a package
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
  for package in $wanted; do
    case "
$installed
" in
      *"
$package
"*) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

command -v dpkg-query >/dev/null 2>&1 || die "this machine has no dpkg: Cofferdam installs its packages on Debian 12"
missing=$(missing_packages)
[ -n "$missing" ] || exit 0

# shellcheck disable=SC1091 # a file of the host
release=$(. /etc/os-release && printf '%s-%s' "$ID" "${VERSION_ID:-}")
[ "$release" = debian-12 ] || say "note: this is $release; the packages are named as Debian 12 names them"

# shellcheck disable=SC2086
set -- $missing
say "installing $# Debian packages: $missing"
mkdir -p build/log
export DEBIAN_FRONTEND=noninteractive
apt_options="-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0"
# shellcheck disable=SC2086
logged "updating the package lists" build/log/apt-update.log as_root apt-get -q $apt_options update ||
  say "some package lists could not be updated; going on with those that are here"
# shellcheck disable=SC2086
logged "installing packages" build/log/apt-install.log \
  as_root apt-get -q -y $apt_options --no-install-recommends install "$@" ||
  die "apt-get could not install: $missing" "read build/log/apt-install.log; Debian's main archive must be reachable"
missing=$(missing_packages)
[ -z "$missing" ] || die "still missing after the installation: $missing" "read build/log/apt-install.log"
