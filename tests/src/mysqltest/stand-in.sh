#!/bin/sh
# mysql-test-run.pl runs this in place of mysqltest. A test of the suite enters the cgroup PORTREEVE_CGROUP (if there is
# one), and leaves in PORTREEVE_OUT/<test>[.<combination>]/ its exit status, output and complaints. Whatever else the
# runner or a test runs mysqltest for is passed on as it is.
[ -n "$PORTREEVE_INSIDE" ] && exec "$PORTREEVE_MYSQLTEST" "$@"

test= results=
for argument; do
  shift
  case $argument in
    --test-file=include/* | --test-file=*/include/*) ;;
    --test-file=*.test) test=${argument#--test-file=} ;;
  esac
  case $argument in
    --result-file=*) results=$argument ;;
    *) set -- "$@" "$argument" ;;
  esac
done
[ -z "$test" ] && exec "$PORTREEVE_MYSQLTEST" "$@" ${results:+"$results"}

name=${test##*/}
# By name: the runner's own order differs from that of its reports.
combination=$(echo "$MTR_COMBINATIONS" | tr , '\n' | LC_ALL=C sort | paste -sd ,)
out=$PORTREEVE_OUT/${name%.test}${combination:+.$combination}
rm -rf "$out" && mkdir -p "$out" || exit 1
if [ -n "$PORTREEVE_CGROUP" ]; then
  echo 0 > "$PORTREEVE_CGROUP/cgroup.procs" || exit 1
fi
if [ -n "$PORTREEVE_AS_ROOT" ]; then
  # Whoever the test logs in as, it is root without a password: what Portreeve makes of every login here. Where the test
  # then fails, it goes on with its next line, so that all of it is compared. Files that it includes are looked for in the
  # suite's folder first.
  as_root=$out/as-root
  mkdir -p "$as_root/include" && cp "${test%/*}"/*.inc "$test" "$as_root" && cp include/*.inc "$as_root/include" || exit 1
  LC_ALL=C sed -E -i \
    -e 's/^([[:space:]]*(--)?[[:space:]]*connect([[:space:]]*\(|[[:space:]])[^,(]*,[^,]*,)[^,;)]*(,[^,;)]*)?/\1root,/I' \
    -e 's/^([[:space:]]*(--)?[[:space:]]*change_user)[[:space:]]+[^,;]*(,[^,;]*)?/\1 root,/I' \
    -e '/(^|--)[[:space:]]*exec/ s/(--user=|[[:space:]]-u[[:space:]]*)[^[:space:]]+/\1root/g' \
    -e '/(^|--)[[:space:]]*exec/ s/(--password=|[[:space:]]-p)[^[:space:]]+/--password=/g' \
    "$as_root"/*.test "$as_root"/*.inc "$as_root"/include/*.inc || exit 1
  set -- "$@" --test-file="$as_root/${test##*/}" --suite-dir="$as_root/" --continue-on-error
fi
# Recording: the test is not compared with what MariaDB expects of its own builds, but with itself.
PORTREEVE_INSIDE=1 "$PORTREEVE_MYSQLTEST" "$@" --protocol=tcp --record --result-file="$out/output" --logdir="$out" 2> "$out/complaints"
status=$?
# The runner looks here for the reason of a test that skips itself.
cat "$out/complaints" >&2
rm -rf "$out/as-root"
echo "$status" > "$out/status"
exit "$status"
