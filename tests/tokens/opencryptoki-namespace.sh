#!/bin/bash
# opencryptoki-namespace.sh STATE VISIBLE: becomes pkcsslotd with one software token, whose configuration, keys, socket, locks
# and shared memory lie below STATE. To be run by `unshare --mount --ipc --propagation private`; what joins the namespaces sees
# this token, and the folder VISIBLE where it was.
set -euo pipefail
state=$1 visible=$2

mkdir -p "$state"/{etc,lib/swtok/TOK_OBJ,run/lock/opencryptoki/swtok,run/opencryptoki,shm}
printf 'version opencryptoki-3.8\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n' >"$state/etc/opencryptoki.conf"
chgrp -R pkcs11 "$state/lib" "$state/run/lock/opencryptoki"
chmod -R g+rwX "$state/lib" "$state/run/lock/opencryptoki"

mount --bind "$state/etc" /etc/opencryptoki
mount --bind "$state/lib" /var/lib/opencryptoki
mount --bind "$state/run" /run
mount -t tmpfs tmpfs "$state/shm"
if [[ $visible == /dev/shm/* ]]; then
  mkdir "$state/shm/${visible#/dev/shm/}"
  mount --bind "$visible" "$state/shm/${visible#/dev/shm/}"
fi
mount --rbind "$state/shm" /dev/shm

exec pkcsslotd -f
