#!/usr/bin/env bash
# Run `make demo` once as an unprivileged user, from a copy of the checkout, and stop it with SIGINT.
set -euo pipefail
set -m # otherwise bash makes background commands ignore SIGINT
cd "$(dirname "$0")/.."
work=$(mktemp -d)
demo=
# Whatever happens, stop the demo: a program that still writes would keep its directory from being removed.
clean() {
    status=$?
    trap - EXIT
    set +e
    if [ -n "$demo" ]; then
        kill -INT -- "-$demo" 2>/dev/null # like Ctrl-C: make and everything in its process group
        for _ in $(seq 20); do kill -0 -- "-$demo" 2>/dev/null || break; sleep 1; done
        kill -KILL -- "-$demo" 2>/dev/null # its programs are in groups of their own and exit with it
    fi
    for _ in $(seq 10); do rm -rf "$work" 2>/dev/null && break; sleep 1; done
    if [ -e "$work" ]; then echo "$work could not be removed"; status=1; fi
    exit "$status"
}
trap clean EXIT
git archive HEAD | tar -x -C "$work"
chown -R nobody "$work" && chmod 755 "$work"
mkdir "$work/home" && chown nobody "$work/home"
# Below the kernel's ephemeral range: no outgoing connection takes it in the minutes until the demo listens.
port=$(python3 -c 'import random, socket; s = socket.socket(); p = random.randrange(20_000, 32_000); s.bind(("127.0.0.1", p)); print(p)')
run=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$work/home" PORT="$port" make -C "$work" demo)
start=$(date +%s)
"${run[@]}" >"$work/demo.log" 2>&1 &
demo=$!
for _ in $(seq 150); do
    grep -q "Driftwatch is ready" "$work/demo.log" && break
    kill -0 "$demo" 2>/dev/null || { cat "$work/demo.log"; echo "make demo ended early"; exit 1; }
    sleep 1
done
grep -q "Driftwatch is ready" "$work/demo.log" || { cat "$work/demo.log"; echo "make demo was not ready in 150 s"; exit 1; }
echo "make demo as an ordinary user: ready after $(($(date +%s) - start)) s"
curl --silent --fail --location --output /dev/null "http://127.0.0.1:$port/"
test "$(stat -c %a "$work/.data/demo-credentials.json")" = 600
kill -INT "$demo"
for _ in $(seq 20); do kill -0 "$demo" 2>/dev/null || break; sleep 1; done
if kill -0 "$demo" 2>/dev/null; then echo "make demo did not stop within 20 s"; exit 1; fi
echo "make demo: stopped by SIGINT"
