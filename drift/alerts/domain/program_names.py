"""Programs by what they are to an alert: services, package managers, build tools, shells, download tools.

Names are as the kernel reports them: at most 15 characters of the file name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final


def name_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


def _names(text: str) -> frozenset[str]:
    return frozenset(name[:15] for name in text.split())


DOWNLOADERS: Final = _names(
    "curl wget aria2c axel fetch lwp-download lwp-request tftp ftp ncftp sftp scp rsync nc ncat netcat socat busybox "
    "GET http httpie kubectl"
)
SERVERS: Final = _names(
    "nginx apache2 httpd caddy lighttpd haproxy envoy traefik php-fpm php-cgi tomcat catalina jetty gunicorn uwsgi "
    "unicorn puma passenger redis-server valkey-server memcached postgres mysqld mariadbd mongod mongos cassandra "
    "elasticsearch rabbitmq-server beam.smp clickhouse-serv influxd etcd consul vault minio smbd vsftpd proftpd sshd "
    "dropbear exim exim4 postfix dovecot slapd named squid kestrel w3wp mysqld_safe sqlservr cockroach couchdb neo4j "
    "gitlab-workhorse gitea forgejo grafana openvpn snmpd asterisk"
)
"""They take requests from the network, and have no reason to write or start programs."""
SELF_UPDATERS: Final = _names("minio caddy")
"""Servers that have a command which exchanges their own file."""
RUNTIMES: Final = _names("java node nodejs deno bun python python3 python2 ruby perl php dotnet mono erl elixir lua")
"""What web applications run in: services too, unless a build tool started them."""
PACKAGE_MANAGERS: Final = _names(
    "dpkg dpkg-deb dpkg-preconfigure apt apt-get aptitude rpm yum dnf microdnf zypper apk pacman pip pip3 pipx uv "
    "poetry conda mamba npm npx pnpm yarn gem bundle bundler composer snap brew nix krew asdf mise"
)
BUILD_TOOLS: Final = _names(
    "go cargo rustup make gmake ninja cmake gradle gradlew mvn mvnw ant sbt bazel buck meson scons tsc webpack vite "
    "javac cc gcc g++ clang cc1 collect2 rustc dotnet-sdk msbuild helm terraform tofu packer docker-buildx buildkitd "
    "kaniko buildah"
)
COMPILERS: Final = _names(
    "ld ld.lld ld.gold lld mold link compile asm as cc1 cc1plus collect2 rustc javac gcc g++ clang"
)
RUNNERS: Final = _names(
    "gitlab-runner gitlab-runner-h Runner.Worker Runner.Listener actions-runner buildkite-agent jenkins jenkins-agent "
    "tekton-entrypoint drone-runner woodpecker argoexec teamcity-agent concourse"
)
"""CI systems' programs inside of the containers of their jobs."""
INSTALLERS: Final = _names("runc crun containerd kubelet install-cni")
DECODERS: Final = _names("base64 base32 basenc xxd uudecode openssl gpg")
"""They make a program of text: how one comes in where nothing can be downloaded."""
COPIERS: Final = _names("cp mv install dd tar unzip gunzip cat tee base64 chmod")
LAUNCHERS: Final = _names("npm npx pnpm yarn bun uv poetry bundle bundler pip pipx")
"""Package managers that are also the first process of many services, as in `npm start`."""
PARSERS: Final = _names(
    "exiftool convert magick identify mogrify gm ffmpeg ffprobe gs ghostscript soffice soffice.bin pdftotext pdftoppm "
    "unrar 7z wkhtmltopdf rsvg-convert dvips pandoc tesseract clamd"
)
"""They read files that strangers sent, and have no reason to start a shell."""
LOGIN_DAEMONS: Final = _names("sshd sshd-session dropbear")
LOGIN_PROGRAM: Final = re.compile(
    r"/(sshd|sshd-session|dropbear|login|su|sudo|passwd|agetty|getty|sulogin|unix_chkpwd|pam_\w+\.so(\.\d+)*)$"
)
START_PLACE: Final = re.compile(
    r"^(/etc/(cron[^/]*|periodic|init\.d|rc[0-9S]?\.d|systemd|profile\.d|update-motd\.d)|/var/spool/cron|/etc/init|"
    r"(/usr)?/lib/systemd/system)/"
)
INTERACTIVE_SHELLS: Final = _names("bash zsh fish ash ksh tcsh")
SHELLS: Final = INTERACTIVE_SHELLS | _names("sh dash busybox su sudo env timeout nohup setsid")
SESSION_STARTS: Final = SHELLS | LOGIN_DAEMONS | _names("runc crun containerd-shim tmux screen login script conmon")
"""What may stand above the shell of a person."""
PLACERS: Final = _names("cp mv install dd cat tee")
POSED: Final = (RUNTIMES | SHELLS | COMPILERS | _names("su ssh passwd login")) - _names(
    "busybox env timeout nohup setsid"
)
"""Programs that come in packages, not as one file: what is named so hides among them, or waits to be called."""
NOTEBOOKS: Final = _names(
    "jupyterhub-singleuser jupyter-lab jupyter-notebook jupyter-server jupyter-labhub rsession rserver code-server "
    "coder"
)
"""They give people terminals."""
COPY_TOOLS: Final = _names(
    "rclone restic rsync aws gsutil gcloud mc s3cmd s5cmd azcopy az scp sftp kopia borg duplicity"
)
BACKUP_TOOLS: Final = _names("wal-g wal-e pgbackrest barman xtrabackup mariabackup mydumper")
FETCHERS: Final = DOWNLOADERS | PACKAGE_MANAGERS | BUILD_TOOLS | COPY_TOOLS | _names("git git-remote-https")
"""Their arguments name addresses every day."""
KEY_TOOLS: Final = _names("keytool jarsigner apksigner openssl")
RUNTIME_DAEMONS: Final = _names(
    "dockerd containerd containerd-shim-runc-v2 docker-containerd crio conmon kubelet cadvisor"
)
"""They serve the container runtime's socket, or watch all containers: not its clients, which start new ones."""
CLONING: Final = _names("runc buildkit-runc buildkitd containerd-shim containerd-shim-runc-v2")
"""They start containers by a copy of runc in memory, so that no container can overwrite the file."""
CRON: Final = _names("cron crond anacron fcron supercronic run-parts atd")
OUTSIDE: Final = _names("containerd-shim conmon runc crun dockerd systemd init tini dumb-init")
"""Container runtimes and the first processes of containers: they start everything, so they tell nothing."""
SYSTEM_PROGRAMS: Final = _names(
    "systemd systemd-udevd systemd-journald kthreadd kworker ksoftirqd kswapd0 rcu_sched "
    "cron crond sshd rsyslogd dbus-daemon udevd auditd kubelet kube-proxy kube-apiserver coredns calico-node agetty "
    "polkitd"
)
"""Names that malware takes in order to be passed over."""
DOT_DIRECTORIES: Final = name_set(
    """
    .cache .local .config .venv .env .npm .nvm .yarn .pnpm .pnpm-store .cargo .rustup .gradle .m2 .ivy2 .sbt .terraform
    .terragrunt-cache .git .github .bun .deno .dotnet .nuget .pyenv .rbenv .gem .bundle .virtualenvs .conda .jupyter
    .ipython .vscode-server .cursor-server .java .next .nuxt .output .tox .nox .mypy_cache .pytest_cache .build .docker
    .kube .helm .krew .asdf .go .pub-cache .bin .tekton .mozilla .wine .steam .ansible .sdkman .pulumi .serverless
    .foundry .dapr .arkade .aws .azure .electron .vscode .rd .sonar .snapshots .julia .juliaup .cabal .ghcup .stack
    .opam .elan .nimble .rye .pixi .volta .fnm .micromamba .mamba .TinyTeX .cmdstan .snakemake .nextflow .prisma .wal-g
    .wp-cli .ollama .huggingface .torch .keras .spack .android .expo .flutter .swiftly .jbang .coursier .metals .rvm
    .phpenv .pre-commit .k9s .minikube .linkerd2 .istioctl .fly .supabase .n8n .acme.sh .phpbrew .nodenv .goenv
    """
)
"""Directories that tools make: not hidden from anybody."""
DOMAIN: Final = re.compile(r"\.(com|org|net|io|dev)\.")
"""Desktop programs name their temporary files so: `.com.google.Chrome.a1b2c3`."""
BUILD_PLACE: Final = re.compile(
    r"/node_modules/|/go-build\d|/target/(debug|release)/|/site-packages/|/dist-packages/|/\.terraform/|/\.cargo/|/\.m2/|"
    r"/\.gradle/|/\.npm/|/\.cache/(pip|yarn|bazel|ms-playwright|go-build|uv|puppeteer|pypoetry)|/bazel-out/|/__pycache__/"
)
BUILD_NAMESPACE: Final = re.compile(
    r"(^|[-_])(ci|cicd|build|builds|builder|builders|runner|runners|tekton|actions|arc|buildkite|argo-ci|"
    r"pipelines?|e2e|qa|preview|sandbox)([-_]|$)"
)
"""Not the names of products alone: `gitlab` and `jenkins` are where the servers run."""
SYSTEM_NAMESPACE: Final = re.compile(r"^(kube-system|kube-public|kube-node-lease|openshift-.*|.*-system)$")
WEB_PLACE: Final = re.compile(
    r"^/(var/www|usr/share/nginx/html|srv/(www|http)|usr/local/apache2/htdocs)/|/(webapps|uploads)/"
)
DATA_PLACE: Final = re.compile(
    r"/(logs?|png|img|images|pictures|thumbs?|uploads?|files|sessions?|spool|preview|fontconfig|fonts|backups?|exports?|"
    r"imports?|temp|tmp|media|static|css|pgsql_tmp|compiles|blobs|profile_default)/[^/]+$"
)
"""Directories for what is no program."""
HOME_TOOL: Final = re.compile(r"^/(root|home/[^/]+)/\.[A-Za-z][\w-]{3,63}/(.*/)?bin/[^.][^/]*$")
"""Where installers put tools for one user, as in `~/.cmdstan/bin`."""
SYSTEM_PLACE: Final = re.compile(r"^/(usr/(local/)?)?(s?bin|lib|lib64|libexec)/")
DOCUMENTS: Final = re.compile(r"\.(jpe?g|png|gif|svg|ico|webp|pdf|txt|log|css|html?|docx?|csv|mp[34]|zip)$")
RUNTIME_CLONE: Final = re.compile(r"^/memfd:runc_cloned:(/proc/self/exe)?( \(deleted\))?$")
WRITABLE: Final = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/")  # noqa: S108 - where nothing trusted is
"""Programs here are not the package managers and build tools that they may be called."""
KERNEL_THREAD: Final = re.compile(r"^\[[\w/:.-]+\]$")


def is_named(name: str, names: frozenset[str]) -> bool:
    """Return whether a process name is one of these, with or without a version, as in `python3.12`."""
    return name[:15] in names or _unversioned(name[:15]) in names


def is_same_program(one: str, other: str) -> bool:
    """Return whether two process names are of one program, as `python3` and `python3.12` are."""
    return one[:15] == other[:15] or (_unversioned(one[:15]) == _unversioned(other[:15]) != "")


def program(name: str) -> str:
    """Return a process name without its version and what the process adds to it, as `npm` of `npm install esbuild`."""
    return _unversioned(name.partition(" ")[0][:15])


@lru_cache(maxsize=4_096)  # some thirty times an alert, of few names
def _unversioned(name: str) -> str:
    return re.split(r"[-_.]?\d", name, maxsplit=1)[0]
