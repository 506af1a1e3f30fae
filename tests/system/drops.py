"""Forty ways in which an attacker drops a file and runs it, for a container that has busybox alone."""

from __future__ import annotations

from typing import Any, Final

PLACES: Final = ("/usr/bin", "/x/node_modules/.bin", "/tmp/go-build7", "/var/lib/dpkg/info")
"""Where the rules let an image's package managers, npm and Go write."""
BINARY: Final = "chmod +x {t}; {t} true {w}"
SCRIPT: Final = "chmod +x {t}; {t} {w}"
DROPS: Final = {
    "redirection": "cat /bin/busybox > {t}; " + BINARY,
    "appended": ": > {t}; cat /bin/busybox >> {t}; " + BINARY,
    "cp": "cp /bin/busybox {t}; " + BINARY,
    "dd": "dd if=/bin/busybox of={t} 2>/dev/null; " + BINARY,
    "install-by-cat-and-mv": "cat /bin/busybox > {t}.part; mv {t}.part {t}; " + BINARY,
    "hard-link": "cp /bin/busybox {t}.part; ln {t}.part {t}; " + BINARY,
    "base64": "base64 /bin/busybox > /tmp/b64; base64 -d /tmp/b64 > {t}; " + BINARY,
    "uuencode": "uuencode /bin/busybox f > /tmp/uu; uudecode -o {t} /tmp/uu; " + BINARY,
    "xxd": "xxd -p /bin/busybox > /tmp/xx; xxd -r -p /tmp/xx > {t}; " + BINARY,
    "gzip": "gzip -c /bin/busybox > /tmp/gz; gunzip -c /tmp/gz > {t}; " + BINARY,
    "tar-from-a-pipe": "tar -c -C /bin busybox | tar -x -O > {t}; " + BINARY,
    "tar-from-a-shared-volume": "tar -x -O -f /shared/drop.tar > {t}; " + BINARY,
    "run-on-a-shared-volume": "cp /shared/busybox {t}; " + BINARY,
    "cpio": "cd /bin; echo busybox | cpio -o -H newc 2>/dev/null > /tmp/io; cd {d}; "
    "cpio -i -d < /tmp/io 2>/dev/null; mv busybox {t}; " + BINARY,
    "ar": "cd /bin; ar -r /tmp/a.ar busybox 2>/dev/null; cat /bin/busybox > {t}; " + BINARY,
    "wget": "httpd -p 127.0.0.1:{port} -h /bin; wget -q -O {t} http://127.0.0.1:{port}/busybox; " + BINARY,
    "tee": "cat /bin/busybox | tee {t} > /dev/null; " + BINARY,
    "sponge-by-awk": 'awk \'BEGIN {{ print "#!/bin/sh" > "{t}" }}\'; ' + SCRIPT,
    "sed-in-place": "printf '#!/bin/no\\n' > {t}; sed -i s/no/sh/ {t}; " + SCRIPT,
    "patch-in-the-middle": "cp /bin/busybox {t}; printf x | dd of={t} bs=1 seek=900000 conv=notrunc 2>/dev/null; "
    + BINARY,
    "cut-and-written-anew": "cp /bin/true {t}; : > {t}; cat /bin/busybox > {t}; " + BINARY,
    "through-a-symlink": "ln -s {t} /tmp/to-{w}; cat /bin/busybox > /tmp/to-{w}; " + BINARY,
    "by-a-copied-dpkg": "cp /bin/busybox /tmp/dpkg-{w}; ln -sf dpkg-{w} /tmp/cp; /tmp/cp /bin/busybox {t}; " + BINARY,
    "by-a-renamed-dpkg": "mkdir -p /tmp/{w}/usr/bin; cp /bin/busybox /tmp/{w}/k; mv /tmp/{w}/k /tmp/{w}/usr/bin/dpkg; "
    "ln -sf dpkg /tmp/{w}/usr/bin/cp; /tmp/{w}/usr/bin/cp /bin/busybox {t}; " + BINARY,
    "by-dpkg-in-another-root": "mkdir -p /tmp/{w}/bin; cp /bin/busybox /tmp/{w}/bin/dpkg; ln -s dpkg /tmp/{w}/bin/sh; "
    "ln -s dpkg /tmp/{w}/bin/cp; chroot /tmp/{w} /bin/cp /bin/dpkg /busybox; mv /tmp/{w}/busybox {t}; " + BINARY,
    "overwritten-after-dpkg-installed-it": "dpkg -i /shared/tool.deb >/dev/null 2>&1; cat /bin/busybox > {t}; "
    + BINARY,
    "git-hook": "mkdir -p /repo/.git/hooks; printf '#!/bin/sh\\n' > {t}; ln -sf {t} /repo/.git/hooks/post-commit; "
    "chmod +x {t}; /repo/.git/hooks/post-commit {w}",
    "cron": "printf '#!/bin/sh\\n' > {t}; chmod +x {t}; mkdir -p /tmp/cron-{w}; ln -s {t} /tmp/cron-{w}/job; "
    "run-parts -a {w} /tmp/cron-{w}",
    "supervisor": "cat /bin/busybox > {t}; chmod +x {t}; until {t} true {w}; do sleep 0.1; done",
    "orphan": "cat /bin/busybox > {t}; chmod +x {t}; (setsid sh -c '{t} true {w}' &)",
    "time": "cat /bin/busybox > {t}; chmod +x {t}; time {t} true {w}",
    "start-stop-daemon": "cat /bin/busybox > {t}; chmod +x {t}; start-stop-daemon -S -b -x {t} -- true {w}",
    "here-document": "cat > {t} <<'END'\n#!/bin/sh\nEND\n" + SCRIPT,
    "env-interpreter": "printf '#!/bin/env sh\\n' > {t}; " + SCRIPT,
    "own-tmpfs": "mkdir -p /own-{w}; mount -t tmpfs none /own-{w}; cp /bin/busybox /own-{w}/busybox-x; "
    "/own-{w}/busybox-x true {w}",
    "bind-mount": "cp /bin/busybox /tmp/busybox-b{w}; : > {t}; mount --bind /tmp/busybox-b{w} {t}; {t} true {w}",
    "own-mount-namespace": "cat /bin/busybox > {t}; chmod +x {t}; unshare -m {t} true {w}",
    "preloaded-loader-name": "cp /bin/busybox {t}; chmod +x {t}; LD_PRELOAD=/tmp/none.so {t} true {w}",
    "timeout": "cat /bin/busybox > {t}; chmod +x {t}; timeout 5 {t} true {w}",
    "xargs": "cat /bin/busybox > {t}; chmod +x {t}; echo true {w} | xargs {t}",
}
"""What writes and runs `{t}`, a file in `{d}`, with the last argument `{w}`."""
SETUP: Final = (
    "for each in $(busybox --list); do [ -e /bin/$each ] || ln -s busybox /bin/$each; done\n"
    "mkdir -p /shared; cp /bin/busybox /shared/busybox; tar -c -C /bin -f /shared/drop.tar busybox\n"
)
"""Makes what the drops need in a container that has busybox and a directory /shared."""


def goes_by_provenance(rule: dict[str, Any]) -> bool:
    """Return whether a rule goes by the session or the writer."""
    known = {"session", "writer_origin", "written_by", "written_in_session"}
    return any(each["property"] in known for each in rule["process_scope"])


def lines(who: str, first_port: int) -> tuple[str, list[str]]:
    """A script of all drops, and the word that each one's exec ends with."""
    script, words = ["mkdir -p " + " ".join(PLACES)], []
    for number, (name, drop) in enumerate(DROPS.items()):
        directory = PLACES[number % len(PLACES)]
        word = f"{who}-{name}"
        values = {"t": f"{directory}/busybox-{word}", "d": directory, "w": word, "port": first_port + number}
        script.append(f"( {drop.format(**values)}\n) </dev/null")
        words.append(word)
    return "\n".join(script), words
