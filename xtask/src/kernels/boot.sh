# The job of `cargo xtask kernels --boot`: a host that is installed as docs/install.md says, then systemd as its first process.
# Variables: tree, portreeve, python. What is seen is said by check.sh, a unit of that host.
set -e
install -m 755 "$portreeve" /usr/local/bin/portreeve
# What else the host would start is not part of this.
rm -rf /etc/systemd/system/*.wants /etc/machine-id
systemd-machine-id-setup
for unit in systemd-networkd systemd-timesyncd systemd-resolved getty.target; do systemctl mask "$unit"; done
install -m 644 "$tree/docs/portreeve.service" "$tree/docs/portreeve-guard.service" /etc/systemd/system/
systemctl enable portreeve-guard portreeve

mkdir -p /etc/portreeve/policies /var/boot
chmod 700 /etc/portreeve
(umask 077 && printf %s held-by-portreeve >/etc/portreeve/agents.secret)
cat >/etc/portreeve/policies/agents.cedar <<'END'
@id("agents-ask")
permit (principal in Group::"agents", action in [Action::"read", Action::"session"], resource in Server::"db");
END
cat >/etc/portreeve/portreeve.toml <<'END'
trust_domain = "example.org"
[interception]
ports = [3306]
[[workload]]
name = "agents"
cgroup = "agents.slice"
groups = ["agents"]
[[server]]
name = "db"
match = ["127.0.0.2:3306"]
tls = "disabled"
[[server.credential]]
for = ["group:agents"]
user = "held"
password_file = "/etc/portreeve/agents.secret"
[policy]
paths = ["/etc/portreeve/policies"]
END

mariadb-install-db --no-defaults --user=root --datadir=/var/boot/data --skip-test-db \
  --auth-root-authentication-method=normal --innodb-log-file-size=16M >/var/boot/install.log
cat >/var/boot/init.sql <<'END'
CREATE USER held@'127.%' IDENTIFIED BY 'held-by-portreeve';
GRANT SELECT ON *.* TO held@'127.%';
END
cat >/etc/systemd/system/database.service <<'END'
[Service]
Type=notify
ExecStart=/usr/sbin/mariadbd --no-defaults --user=root --datadir=/var/boot/data --bind-address=127.0.0.2 \
  --socket=/var/boot/database.sock --skip-name-resolve --innodb-log-file-size=16M --init-file=/var/boot/init.sql \
  --general-log --log-output=FILE --general-log-file=/var/boot/general.log
TimeoutStartSec=300
END
# An agent that knows nothing of Portreeve, and one that asks once more each time that it is started.
cat >/etc/systemd/system/agent@.service <<'END'
[Unit]
Wants=database.service
After=database.service
[Service]
Type=oneshot
Slice=agents.slice
ExecStart=/bin/sh -c 'exec mariadb --no-defaults -h127.0.0.2 -uagent -panything -e "SELECT CURRENT_USER()" >/var/boot/%i.said 2>&1'
END
# The one that is there too early.
mkdir -p /etc/systemd/system/agent@early.service.d
printf '[Unit]\nBefore=portreeve.service\n' >/etc/systemd/system/agent@early.service.d/order.conf
mkfifo /var/boot/hold
cat >/etc/systemd/system/agent-load.service <<END
[Service]
Slice=agents.slice
ExecStart=/bin/sh -c 'exec $python -B $tree/tests/clients/python/steady.py 127.0.0.2 agent anything "" 4 </var/boot/hold >/var/boot/load.said'
END
cat >/etc/systemd/system/check.service <<END
[Unit]
Wants=agent@early.service
After=portreeve.service agent@early.service
[Service]
Type=oneshot
ExecStart=/bin/bash $check
StandardOutput=append:/dev/ttyS1
StandardError=append:/dev/ttyS1
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
END
systemctl enable check
exec /lib/systemd/systemd --unit=multi-user.target
