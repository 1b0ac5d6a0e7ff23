#!/bin/sh
# mysql-test-run.pl runs this in place of mysqltest. A test of the suite enters the cgroup PORTREEVE_CGROUP (if there is
# one), and leaves in PORTREEVE_OUT/<test>[.<combination>]/ its exit status, output and complaints. Whatever else the
# runner or a test runs mysqltest for is passed on as it is.
[ -n "$PORTREEVE_INSIDE" ] && exec "$PORTREEVE_MYSQLTEST" "$@"

test= results=
for argument; do
  shift
  case $argument in
    --test-file=*/include/*) ;;
    --test-file=*.test) test=${argument#--test-file=} ;;
  esac
  case $argument in
    --result-file=*) results=$argument ;;
    *) set -- "$@" "$argument" ;;
  esac
done
[ -z "$test" ] && exec "$PORTREEVE_MYSQLTEST" "$@" ${results:+"$results"}

name=${test##*/}
out=$PORTREEVE_OUT/${name%.test}${MTR_COMBINATIONS:+.$MTR_COMBINATIONS}
rm -rf "$out" && mkdir -p "$out" || exit 1
if [ -n "$PORTREEVE_CGROUP" ]; then
  echo 0 > "$PORTREEVE_CGROUP/cgroup.procs" || exit 1
fi
# Recording: the test is not compared with what MariaDB expects of its own builds, but with itself.
PORTREEVE_INSIDE=1 "$PORTREEVE_MYSQLTEST" "$@" --protocol=tcp --record --result-file="$out/output" --logdir="$out" 2> "$out/complaints"
status=$?
# The runner looks here for the reason of a test that skips itself.
cat "$out/complaints" >&2
echo "$status" > "$out/status"
exit "$status"
