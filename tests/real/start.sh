# Starts what users have and a bare machine lacks: a Docker engine and a journal. Sourced by
# .ci/run; for a developer's machine: `. tests/real/start.sh; start_real_parts; ...; stop_real_parts`.
# What already runs is left alone and used as it is.

real_dir=${STOCKADE_REAL_DIR:-/tmp/stockade-real}
dockerd_pid=
journald_pid=

wait_for() { # seconds, what, command...
  local left=$1 what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then echo "$what did not come up" >&2; return 1; fi
    sleep 1
  done
}

start_real_parts() {
  mkdir -p "$real_dir"
  if ! docker version >/dev/null 2>&1; then
    export DOCKER_HOST="unix://$real_dir/docker.sock"
    dockerd --host "$DOCKER_HOST" --data-root "$real_dir/docker" --exec-root "$real_dir/docker-exec" \
      --pidfile "$real_dir/docker.pid" --bridge=none --iptables=false --ip6tables=false \
      >"$real_dir/dockerd.log" 2>&1 &
    dockerd_pid=$!
    wait_for 60 dockerd docker version || { tail -n 30 "$real_dir/dockerd.log" >&2; return 1; }
  fi
  if [ ! -S /run/systemd/journal/socket ] || ! journal_answers; then
    mkdir -p /run/systemd/journal /run/log/journal
    [ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
    /lib/systemd/systemd-journald >"$real_dir/journald.log" 2>&1 &
    journald_pid=$!
    wait_for 30 journald journal_answers || { cat "$real_dir/journald.log" >&2; return 1; }
  fi
}

journal_answers() {
  local mark; mark="stockade-probe-$$-$RANDOM"
  echo "$mark" | systemd-cat -t stockade-probe || return 1
  sleep 0.2
  journalctl --no-pager -n 50 -t stockade-probe | grep -q "$mark"
}

stop_real_parts() {
  [ -z "$dockerd_pid" ] || { kill "$dockerd_pid" 2>/dev/null; wait "$dockerd_pid" 2>/dev/null; }
  [ -z "$journald_pid" ] || { kill "$journald_pid" 2>/dev/null; wait "$journald_pid" 2>/dev/null; }
  dockerd_pid= journald_pid=
  return 0
}
