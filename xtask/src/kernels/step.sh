# step <name> <command>: at a glance from outside when it began and how it ended.
step() {
  local start=$SECONDS status
  echo "== $1 …"
  bash -c "$2"
  status=$?
  echo "== $1 ended with $status after $((SECONDS - start)) s"
}
