#!/usr/bin/env bash
set -euo pipefail

usage() {
  cat <<'END'
Usage: start.sh [--check]

Runs Ollama on a port that only this machine reaches, and ollama-openai-proxy in
front of it on one that all can reach. Both end together: on SIGTERM with status
0, and otherwise, when one of them ends, with the status of that one.

  --check   ask the running proxy for Ollama's version; status 0 if it answers

Environment variables, beside all settings of Ollama and of the proxy:

  PROXY_PORT              the public port (default: 11435)
  PROXY_API_KEYS          keys that clients must send, separated by commas
  PROXY_API_KEYS_FILE     a file with such keys
  OLLAMA_PULL             models to pull after the start, separated by spaces or
                          commas
  OLLAMA_PRIVATE_PORT     Ollama's own port (default: 11434)
  HEARTBEAT_SECONDS       default here: 20
  UPSTREAM_WAIT_SECONDS   default here: 60

Started as root, it runs both programs as the user ollama-pod, if there is one
and if that user may write where the models are.
END
}

say() { echo "start.sh: $*" >&2; }

ollama_port="${OLLAMA_PRIVATE_PORT:-11434}"
export PROXY_PORT="${PROXY_PORT:-11435}"

check() {
  exec python3 - "$PROXY_PORT" <<'END'
import os
import re
import sys
import urllib.request

url = f"http://127.0.0.1:{sys.argv[1]}/api/version"
try:
    keys = os.environ.get("PROXY_API_KEYS", "")
    if not keys and (name := os.environ.get("PROXY_API_KEYS_FILE")):
        with open(name, encoding="utf-8-sig") as file:
            keys = re.sub(r"(?m)(^|[ \t])#.*", "", file.read())
    key = next(filter(None, re.split(r"[,\s]+", keys)), None)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    # Whatever HTTP_PROXY says, this is a call to the same machine.
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).close()
except OSError as error:
    sys.exit(f"{url}: {error}")
END
}

case "${1:-}" in
  '') ;;
  --check) check ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

# The image of Ollama says 0.0.0.0 here, which would let everybody past the proxy.
export OLLAMA_HOST="127.0.0.1:$ollama_port"
export PROXY_MODE=fix PROXY_HOST=0.0.0.0 OLLAMA_UPSTREAM_URL="http://$OLLAMA_HOST"
export HEARTBEAT_SECONDS="${HEARTBEAT_SECONDS:-20}" UPSTREAM_WAIT_SECONDS="${UPSTREAM_WAIT_SECONDS:-60}"

if [[ -n "${RUNPOD_POD_ID:-}" ]]; then
  say "the URL for clients is https://$RUNPOD_POD_ID-$PROXY_PORT.proxy.runpod.net"
fi

# Words to put before a command, so that it does not run as root.
as_user=()
if [[ "$(id -u)" == 0 ]] && id ollama-pod &>/dev/null; then
  as_user=(setpriv --reuid=ollama-pod --regid=ollama-pod --init-groups --inh-caps=-all --no-new-privs
    env HOME=/home/ollama-pod)
fi
# A network volume may belong to root for good.
as_owner=("${as_user[@]}")
models="${OLLAMA_MODELS:-/workspace/ollama}"
if [[ ${#as_user[@]} -gt 0 ]]; then
  mkdir -p "$models"
  [[ "$(stat -c %U "$models")" == ollama-pod ]] || chown -R ollama-pod: "$models" 2>/dev/null || true
  if ! "${as_user[@]}" test -w "$models"; then
    say "$models cannot be given to the user ollama-pod: ollama runs as root, the proxy does not."
    as_owner=()
  fi
fi

pull_models() {
  local models model output
  read -r -d '' -a models <<<"${OLLAMA_PULL//,/ }" || true
  until (exec 3<>"/dev/tcp/127.0.0.1/$ollama_port") 2>/dev/null; do
    kill -0 "$ollama" 2>/dev/null || return 0
    sleep 0.2
  done
  for model in "${models[@]}"; do
    say "pulling $model"
    if output="$("${as_owner[@]}" ollama pull "$model" 2>&1)"; then
      say "pulled $model"
    else
      # What comes before the last line is the progress bar.
      say "$model could not be pulled: $(tr '\r' '\n' <<<"$output" | tail -n 1)"
    fi
  done
}

stopping=
tell_all() {
  local process
  for process in $(jobs -p); do
    kill "-$1" "$process" 2>/dev/null || true
  done
}
trap 'stopping=1; tell_all TERM' INT TERM

# The keys are no business of Ollama's.
"${as_owner[@]}" env -u PROXY_API_KEYS -u PROXY_API_KEYS_FILE ollama serve &
ollama=$!
"${as_user[@]}" ollama-openai-proxy &
proxy=$!
if [[ -n "${OLLAMA_PULL:-}" ]]; then
  pull_models &
fi

# Not with wait -n: it does not see what has ended before it was called.
while [[ -z "$stopping" ]] && kill -0 "$ollama" 2>/dev/null && kill -0 "$proxy" 2>/dev/null; do
  # In the background and waited for, because a trap runs only once a command in the foreground has ended.
  sleep 0.5 &
  wait "$!" || true
done

status=0
if [[ -n "$stopping" ]]; then
  :
elif ! kill -0 "$ollama" 2>/dev/null; then
  wait "$ollama" || status=$?
  say "ollama ended with status $status; the proxy ends too."
else
  wait "$proxy" || status=$?
  say "the proxy ended with status $status; ollama ends too."
fi

tell_all TERM
# A container that was told to stop is killed after ten seconds.
for ((tries = 0; tries < 80; tries++)); do
  kill -0 "$ollama" 2>/dev/null || kill -0 "$proxy" 2>/dev/null || break
  sleep 0.1
done
tell_all KILL
exit "$status"
