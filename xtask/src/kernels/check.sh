# What a host says that was booted with both units (boot.sh). `step` is in guest.sh.
cd /var/boot
export HOME=/root
said() { cat "$1.said"; }
ask() {
  systemctl start "agent@$1"
  local status=$?
  said "$1"
  return "$status"
}
served() { ask "$1" && grep -q '^held@' "$1.said"; }
# errno 1 is EPERM.
refused() { ! ask "$1" && grep -q "Can't connect to server on '127.0.0.2' (1)" "$1.said"; }
main() { systemctl show --property=MainPID --value portreeve; }
begin_load() {
  systemctl start agent-load
  exec 9>hold
  sleep 5
}
end_load() {
  exec 9>&-
  while systemctl --quiet is-active agent-load; do sleep 0.2; done
  cat load.said
}
export -f said ask served refused main begin_load end_load

step both-run 'systemctl --no-pager status portreeve-guard portreeve; systemctl is-active portreeve-guard portreeve'
step guard-before-agents '
  at() { systemctl show --property="$2" --value "$1"; }
  guarded=$(at portreeve-guard ExecMainExitTimestampMonotonic) first=$(at agent@early ExecMainStartTimestampMonotonic)
  serves=$(at portreeve ActiveEnterTimestampMonotonic)
  echo "guard ended at $guarded us, the early agent began at $first us, the daemon served at $serves us"
  [ "$guarded" -lt "$first" ] && [ "$first" -lt "$serves" ]'
step early-agent-refused 'said early; grep -q "Can.t connect to server on .127.0.0.2. (1)" early.said'
step later-agent-served 'served later'
step restarts-lose-none '
  begin_load
  for time in 1 2 3; do before=$(main); systemctl restart portreeve; sleep 2; [ "$(main)" != "$before" ] || exit 1; done
  end_load
  grep -q "\"errors\": {}" load.said && grep -q "\"connects\": [1-9][0-9]" load.said'
step killed-is-started-again '
  before=$(main)
  systemctl kill --kill-who=main --signal=KILL portreeve
  served during
  [ "$(main)" != "$before" ]'
step killed-for-good-refuses '
  mkdir -p /run/systemd/system/portreeve.service.d
  printf "[Service]\nRestart=no\n" >/run/systemd/system/portreeve.service.d/once.conf
  systemctl daemon-reload
  systemctl kill --kill-who=main --signal=KILL portreeve
  while systemctl --quiet is-active portreeve; do sleep 0.1; done
  refused killed && rm -r /run/systemd/system/portreeve.service.d && systemctl daemon-reload'
step started-serves 'systemctl reset-failed portreeve; systemctl start portreeve && served started'
step stopped-refuses 'systemctl stop portreeve && refused stopped && systemctl is-active portreeve-guard'
# Through the gateway it is another account; the server would have written the agent's own name.
step nothing-direct 'grep -q "held@" general.log && ! grep "agent@" general.log'
