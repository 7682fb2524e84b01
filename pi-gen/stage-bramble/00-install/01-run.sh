#!/bin/bash -e
# files/ is put together by scripts/pi-gen-stage: system/ from appliance/files, programs/ from `make dist`.
cp -r --no-preserve=mode,ownership files/system/. "${ROOTFS_DIR}/"

install -d "${ROOTFS_DIR}/usr/lib/bramble/builtin"
install -m 755 files/programs/bramble "${ROOTFS_DIR}/usr/lib/bramble/bramble"
install -m 755 files/programs/bramble-firstboot "${ROOTFS_DIR}/usr/bin/bramble-firstboot"
install -m 755 files/programs/builtin/fwatchdog "${ROOTFS_DIR}/usr/lib/bramble/builtin/fwatchdog"
install -m 755 files/programs/builtin/functions "${ROOTFS_DIR}/usr/lib/bramble/builtin/functions"
ln -sfn ../lib/bramble/bramble "${ROOTFS_DIR}/usr/bin/bramble"
install -m 644 files/bramble.toml "${ROOTFS_DIR}/boot/firmware/bramble.toml"

# One line; the memory cgroup is off in Raspberry Pi's kernels.
cmdline="${ROOTFS_DIR}/boot/firmware/cmdline.txt"
grep -q cgroup_enable=memory "${cmdline}" || sed -i '1s/$/ cgroup_enable=memory/' "${cmdline}"
config="${ROOTFS_DIR}/boot/firmware/config.txt"
grep -q '^gpu_mem=' "${config}" || cat >>"${config}" <<'TEXT'

[all]
gpu_mem=16
# Pages of 4 KiB, which most function images expect.
[pi5]
kernel=kernel8.img
[all]
TEXT
