# shellcheck shell=sh
# Shared by run, test and tools/*.sh: messages, root, and long steps with progress and a log.

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $1"
  [ $# -gt 1 ] && say "  what to do: $2"
  exit 1
}

# Runs a command as root: directly, or through sudo with the settings of this project only.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo --preserve-env=COFFER_STATE,COFFER_RUN,COFFER_LISTEN,DEBIAN_FRONTEND "$@"
  else
    die "'$1' needs root, and this user is not root and has no sudo" "run it as root: su -c ./run"
  fi
}

# logged TITLE LOG COMMAND…: runs a long step with its output in LOG. On a terminal the last line of the log is shown as
# it grows, elsewhere a line every 20 s; when the step fails, the end of the log is printed and its status returned.
logged() {
  logged_title=$1
  logged_log=$2
  shift 2
  mkdir -p "$(dirname "$logged_log")"
  "$@" >"$logged_log" 2>&1 </dev/null &
  logged_pid=$!
  trap 'kill "$logged_pid" 2>/dev/null; exit 130' INT TERM
  logged_start=$(date +%s)
  logged_shown=$logged_start
  while kill -0 "$logged_pid" 2>/dev/null; do
    logged_now=$(date +%s)
    if [ -t 2 ]; then
      printf '\r\033[K%s: %ds  %.70s' "$logged_title" $((logged_now - logged_start)) "$(tail -n 1 "$logged_log" | tr -d '\r\033')" >&2
    elif [ $((logged_now - logged_shown)) -ge 20 ]; then
      say "$logged_title: $((logged_now - logged_start)) s, $(tail -n 1 "$logged_log" | cut -c 1-100)"
      logged_shown=$logged_now
    fi
    sleep 0.2
  done
  wait "$logged_pid"
  logged_status=$?
  trap - INT TERM
  [ -t 2 ] && printf '\r\033[K' >&2
  if [ "$logged_status" -ne 0 ]; then
    say "$logged_title failed; the end of $logged_log:"
    tail -n 30 "$logged_log" >&2
    return "$logged_status"
  fi
  logged_took=$(($(date +%s) - logged_start))
  [ "$logged_took" -lt 2 ] || say "$logged_title: done in $logged_took s"
}
