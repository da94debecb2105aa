#!/bin/sh
# in_bare_root.sh ROOT TREE CCACHE APT_ARCHIVES IMAGES COMMAND: runs COMMAND in TREE, which lies inside the bare Debian
# system under ROOT, as its only user, in mount and PID namespaces of its own. CCACHE and APT_ARCHIVES save time and
# change nothing else; IMAGES, when not empty, is an images folder that was built before.
set -eu
root=$1 tree=$2 ccache=$3 archives=$4 images=$5 command=$6

if [ -z "${COFFER_IN_NAMESPACE:-}" ]; then
  COFFER_IN_NAMESPACE=1 exec unshare --mount --pid --fork --kill-child -- "$0" "$@"
fi
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mkdir -p "$root/root/.cache/ccache" "$root/var/lib/cofferdam"
mount --bind "$ccache" "$root/root/.cache/ccache"
mount --bind "$archives" "$root/var/cache/apt/archives"
if [ -n "$images" ]; then
  mkdir -p "$root/var/lib/cofferdam/images"
  mount --bind "$images" "$root/var/lib/cofferdam/images"
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/outside"
cd "$root"
pivot_root . outside
umount -l /outside
cd "$tree"
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 COFFER_LISTEN=none \
  http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" /bin/sh -c "$command"
