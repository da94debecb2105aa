#!/bin/sh
# install.sh PREFIX: copies the programs, the image recipes and the systemd unit. DESTDIR is honoured.
set -eu
cd "$(dirname "$0")/.."
. tools/lib.sh
prefix=$1
root=${DESTDIR:-}

for program in coffer cofferd coffer-jail coffer-guest coffer-gate; do
  install -D -m 0755 "build/bin/$program" "$root$prefix/bin/$program"
done
for recipe in images/*.yaml; do
  install -D -m 0644 "$recipe" "$root$prefix/share/cofferdam/$recipe"
done
for preset in presets/*; do
  install -D -m 0644 "$preset" "$root$prefix/share/cofferdam/$preset"
done
mkdir -p "$root$prefix/lib/systemd/system"
sed "s,@PREFIX@,$prefix,g" packaging/cofferd.service.in >"$root$prefix/lib/systemd/system/cofferd.service"
say "installed under $root$prefix; start it with: systemctl enable --now cofferd, or: coffer up"
