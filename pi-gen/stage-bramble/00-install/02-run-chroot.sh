#!/bin/bash -e
# What the appliance makes at each start lies in /run.
while read -r path target; do
	ln -sfn "${target}" "/${path}"
done <<'LINKS'
etc/hosts /run/bramble/hosts
etc/localtime /run/bramble/localtime
LINKS

for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
	systemd-networkd-wait-online.service sshd-keygen.service wpa_supplicant.service NetworkManager.service NetworkManager-wait-online.service \
	rpi-resize-swap-file.service userconfig.service; do
	ln -sfn /dev/null "/etc/systemd/system/${unit}"
done

# Raspberry Pi OS has one partition for everything; its own first start lets it grow.
systemctl enable bramble-firstboot.service bramble-status.service bramble.service docker.service ssh.service \
	systemd-networkd.service systemd-resolved.service systemd-timesyncd.service

for user in $(awk -F: '$3 >= 1000 && $3 < 60000 {print $1}' /etc/passwd); do
	passwd --lock "${user}" >/dev/null
done
passwd --lock root >/dev/null

rm -f /etc/ssh/ssh_host_*
: >/etc/machine-id
