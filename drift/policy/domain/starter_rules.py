"""The starter pack: disabled rules for drift that is expected in most estates, each with its reason in the note.

Each trusts as little as possible: an image by its registry and full name (a mirror's name in front of both matches
too), files by their path or by a directory that only the tool uses. Other processes go on to the rules below. Paths and
names come from the vendors: the Kubernetes executor of GitLab (`/builds`), GitHub's actions/runner (`_work`), dpkg(1)
and apk(8) for their packages' scripts, go(1) for where it links, the NVIDIA container toolkit and GPU operator.
"""

from __future__ import annotations

from typing import Final

from drift.policy.domain.starter_rule import OWN_REGISTRY, StarterRule, starter_rule
from drift.policy.domain.vendor_agent_rules import VENDOR_AGENTS


def starter_rules() -> list[StarterRule]:
    """Return the rules in the order in which they are shown and added: without ids, disabled, for every cloud."""
    return list(_RULES)


_BUILD_TOOLS: Final = (
    *("/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/env"),
    *("/usr/bin/apt-get", "/usr/bin/dpkg", "/usr/bin/dpkg-deb", "/sbin/apk", "/usr/bin/dnf", "/usr/bin/microdnf"),
    *("/usr/bin/make", "/usr/bin/gcc", "/usr/bin/ld", "/usr/local/go/bin/go", "/usr/local/bin/node"),
    *("/usr/local/bin/npm", "/usr/local/bin/pip", "/usr/local/bin/python3"),
)
_PACKAGE_MANAGERS: Final = ["/usr/bin/dpkg", "/usr/bin/rpm", "/usr/bin/microdnf", "/sbin/apk"]
_PYTHONS: Final = ["/usr/local/bin/python3.", "/usr/bin/python3."]
_LINKERS: Final = [
    *("/usr/bin/ld", "/usr/bin/x86_64-linux-gnu-ld.bfd", "/usr/bin/aarch64-linux-gnu-ld.bfd"),
    *("/usr/bin/x86_64-linux-gnu-ld.gold", "/usr/bin/lld"),
]
_WRITTEN_BY_WORKLOAD: Final = {
    "session equals": ["workload"],
    "written_in_session equals": ["workload"],
    "writer_origin equals": ["image"],
}
"""The writer unchanged from the image, started by what the container started itself, as was what it wrote."""
_TRUSTS_INPUT: Final = (
    " It trusts what the tool is given: who can make the workload install a package of theirs (apt install ./evil.deb) "
    "or run the tool with settings of theirs is not seen. What a person writes or runs by kubectl exec alerts, and all "
    "whose writer or session is unknown."
)

_RULES: Final = (
    StarterRule(
        "buildkit",
        "CI builders",
        starter_rule(
            "BuildKit build steps",
            "BuildKit",
            "BuildKit unpacks the image that it builds, and runs that image's shell, package manager and compiler: "
            "the sensor sees these as new files. Only the usual tools are listed." + OWN_REGISTRY,
            resource={"image_name equals": ["docker.io/moby/buildkit"]},
            allow=_BUILD_TOOLS,
        ),
    ),
    StarterRule(
        "kaniko",
        "CI builders",
        starter_rule(
            "Kaniko build steps",
            "Kaniko",
            "Kaniko unpacks the base image over its own root and runs the Dockerfile's commands from there: every tool "
            "that they use is a new file. Only the usual tools are listed." + OWN_REGISTRY,
            resource={"image_name equals": ["gcr.io/kaniko-project/executor", "gcr.io/kaniko-project/warmer"]},
            allow=_BUILD_TOOLS,
        ),
    ),
    StarterRule(
        "gitlab-runner",
        "CI builders",
        starter_rule(
            "GitLab Runner jobs",
            "Files of GitLab jobs",
            "GitLab's Kubernetes executor checks out a project to /builds in the containers build and helper, and the "
            "job runs what it compiled there. Files that a job puts elsewhere still alert. To narrow the rule, add the "
            "namespace of your runners.",
            resource={"container_name equals": ["build", "helper"], "pod_name starts_with": ["runner-"]},
            process={"process_path starts_with": ["/builds/"]},
        ),
    ),
    StarterRule(
        "actions-runner",
        "CI builders",
        starter_rule(
            "GitHub Actions jobs",
            "Files of GitHub jobs",
            "A self-hosted runner downloads actions and tools to its _work directory, and jobs compile there. Files "
            "that a job puts elsewhere still alert." + OWN_REGISTRY,
            resource={"image_name equals": ["ghcr.io/actions/actions-runner"]},
            process={"process_path starts_with": ["/home/runner/_work/"]},
        ),
    ),
    StarterRule(
        "ci-packages",
        "CI builders",
        starter_rule(
            "Packages that CI jobs install",
            "Packages of CI jobs",
            "A job installs packages with the package manager of its image, and runs them. What dpkg or rpm installs "
            "by itself still alerts: nothing checks where such a package came from." + _TRUSTS_INPUT,
            resource={"container_name equals": ["build", "helper"], "pod_name starts_with": ["runner-"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/usr/bin/microdnf", "/sbin/apk"],
                "process_path starts_with": ["/usr/", "/bin/", "/sbin/", "/lib/"],
            },
        ),
    ),
    StarterRule(
        "ci-apt",
        "CI builders",
        starter_rule(
            "Packages that CI jobs install with apt",
            "apt packages of CI jobs",
            "apt-get install has dpkg write the packages' programs, and tar their scripts, which dpkg runs. All "
            "of these must be the image's own." + _TRUSTS_INPUT,
            resource={"container_name equals": ["build", "helper"], "pod_name starts_with": ["runner-"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/usr/bin/dpkg", "/usr/bin/tar", "/bin/tar"],
                "written_by_parent equals": ["apt-get", "apt"],
                "process_path starts_with": [
                    *("/usr/", "/bin/", "/sbin/", "/lib/", "/opt/"),
                    *("/var/lib/dpkg/info/", "/var/lib/dpkg/tmp.ci/"),
                ],
            },
        ),
    ),
    StarterRule(
        "ci-pip",
        "CI builders",
        starter_rule(
            "Programs of Python packages in CI jobs",
            "Python packages of CI jobs",
            "pip install unpacks packages into site-packages and their programs beside Python, and jobs run them. "
            "The writer is Python that a script of the image started, as pip is. What python -m pip installs still "
            "alerts, and what the pip of an environment does that the job made (venv)." + _TRUSTS_INPUT,
            resource={"container_name equals": ["build", "helper"], "pod_name starts_with": ["runner-"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by starts_with": _PYTHONS,
                "process_path contains": ["/site-packages/", "/.local/bin/"],
                "process_path starts_with": ["/usr/local/bin/"],
            },
        ),
    ),
    StarterRule(
        "ci-node",
        "CI builders",
        starter_rule(
            "Programs of npm packages in CI jobs",
            "npm packages of CI jobs",
            "npm install unpacks packages with their programs into node_modules, and jobs run them." + _TRUSTS_INPUT,
            resource={"container_name equals": ["build", "helper"], "pod_name starts_with": ["runner-"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/usr/local/bin/node", "/usr/bin/node"],
                "process_path contains": ["/node_modules/"],
            },
        ),
    ),
    StarterRule(
        "ci-go",
        "CI builders",
        starter_rule(
            "Programs that Go builds in CI jobs",
            "go run and go test",
            "go run and go test link a program below /tmp and run it." + _TRUSTS_INPUT,
            resource={"container_name equals": ["build", "helper"], "pod_name starts_with": ["runner-"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by starts_with": ["/usr/local/go/pkg/tool/"],
                "process_path starts_with": ["/tmp/go-build"],  # noqa: S108 - a value to compare with
            },
        ),
    ),
    StarterRule(
        "ci-cargo",
        "CI builders",
        starter_rule(
            "Programs that Cargo builds in CI jobs",
            "cargo build, run and test",
            "Cargo has the image's linker write programs, tests and build scripts below target, and runs them."
            + _TRUSTS_INPUT,
            resource={"container_name equals": ["build", "helper"], "pod_name starts_with": ["runner-"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": _LINKERS,
                "process_path contains": ["/target/debug/", "/target/release/"],
            },
        ),
    ),
    StarterRule(
        "ci-terraform",
        "CI builders",
        starter_rule(
            "Providers that Terraform installs",
            "terraform init",
            "terraform init downloads providers into .terraform, and runs them." + _TRUSTS_INPUT + OWN_REGISTRY,
            resource={"image_name equals": ["docker.io/hashicorp/terraform"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/bin/terraform"],
                "process_path contains": ["/.terraform/providers/"],
            },
        ),
    ),
    StarterRule(
        "grafana-plugins",
        "Self-updaters",
        starter_rule(
            "Plugins that Grafana installs",
            "Grafana's plugins",
            "Grafana downloads and updates backend plugins (gpx_…) itself, and runs them."
            + _TRUSTS_INPUT
            + OWN_REGISTRY,
            resource={"image_name equals": ["docker.io/grafana/grafana", "docker.io/grafana/grafana-oss"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/usr/share/grafana/bin/grafana"],
                "process_path starts_with": ["/var/lib/grafana/plugins/"],
            },
        ),
    ),
    StarterRule(
        "actions-runner-update",
        "Self-updaters",
        starter_rule(
            "Updates of GitHub's runner",
            "Self-update of the runner",
            "A self-hosted runner unpacks a newer version of itself beside its directories bin and externals, and "
            "goes on with that." + _TRUSTS_INPUT + OWN_REGISTRY,
            resource={"image_name equals": ["ghcr.io/actions/actions-runner"]},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/home/runner/bin/Runner.Listener"],
                "process_path starts_with": ["/home/runner/bin.", "/home/runner/externals."],
            },
        ),
    ),
    StarterRule(
        "installed-by-hand",
        "Debug shells",
        starter_rule(
            "Packages that a person installed",
            "Package managers by kubectl exec",
            "Somebody entered a container, by kubectl exec or from the node, and installed a package; it alerts also "
            "where cron or the workload runs that later. Put it above rules that ignore packages.",
            resource={},
            process={"written_in_session equals": ["exec"], "written_by equals": _PACKAGE_MANAGERS},
            action="alert",
        ),
    ),
    StarterRule(
        "debug-shells",
        "Debug shells",
        starter_rule(
            "Tools in debug containers",
            "kubectl debug",
            "kubectl debug adds a container named debugger-… for troubleshooting; the tools that are installed there "
            "are drift. An attacker can do the same: enable the rule only where debug containers are restricted by "
            "role, and set an expiry.",
            resource={
                "container_name starts_with": ["debugger-"],
                "image_name equals": [
                    *("docker.io/library/busybox", "docker.io/library/alpine", "docker.io/library/ubuntu"),
                    "docker.io/nicolaka/netshoot",
                ],
            },
            allow=(
                *("/usr/bin/strace", "/usr/bin/tcpdump", "/usr/sbin/tcpdump", "/usr/bin/dig", "/usr/bin/gdb"),
                *("/usr/bin/htop", "/usr/bin/less", "/usr/bin/vim", "/usr/bin/jq"),
            ),
        ),
    ),
    StarterRule(
        "package-scripts",
        "Package installs at start-up",
        starter_rule(
            "Package scripts at start-up",
            "Scripts of apk and microdnf",
            "An entrypoint that installs packages makes apk or microdnf run the packages' scripts. Only what the "
            "image's package manager wrote is ignored, for anybody may name a program apk; the installed programs "
            "still alert, and so do the scripts of what dpkg or rpm installs by itself. It is safer to install "
            "packages when the image is built." + _TRUSTS_INPUT,
            resource={},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/usr/bin/microdnf", "/sbin/apk"],
                "parent_process equals": ["apk", "microdnf"],
                "process_path starts_with": [
                    "/lib/apk/exec/",
                    "/var/tmp/rpm-tmp.",  # noqa: S108 - a value to compare with
                ],
            },
        ),
    ),
    StarterRule(
        "apt-scripts",
        "Package installs at start-up",
        starter_rule(
            "Package scripts of apt at start-up",
            "Scripts that apt has dpkg run",
            "An entrypoint that runs apt-get install makes dpkg run the packages' scripts, which tar unpacks for "
            "dpkg-deb, and that for dpkg. All of these must be the image's own, and apt above them: the scripts of "
            "what dpkg installs by itself alert, and so do the installed programs. It is safer to install packages "
            "when the image is built." + _TRUSTS_INPUT,
            resource={},
            process={
                **_WRITTEN_BY_WORKLOAD,
                "written_by equals": ["/usr/bin/tar", "/bin/tar"],
                "parent_process equals": ["dpkg"],
                "process_path starts_with": ["/var/lib/dpkg/info/", "/var/lib/dpkg/tmp.ci/"],
            },
            below=(("dpkg-deb",), ("dpkg",), ("apt-get", "apt")),
        ),
    ),
    StarterRule(
        "pip-builds",
        "Package installs at start-up",
        starter_rule(
            "Python packages built at start-up",
            "pip's build directories",
            "pip install at start-up builds packages without a wheel in its own directories below /tmp, and runs build "
            "tools from there. Anyone who can write to /tmp and start Python can hide there: it is safer to install "
            "packages when the image is built.",
            resource={},
            process={
                "parent_process equals": ["pip", "pip3", "python", "python3"],
                "process_path starts_with": ["/tmp/pip-build-env-", "/tmp/pip-install-"],  # noqa: S108 - values to compare with
            },
        ),
    ),
    StarterRule(
        "nvidia-hook",
        "GPU hooks",
        starter_rule(
            "NVIDIA tools mounted into GPU containers",
            "GPU containers",
            "The NVIDIA container toolkit mounts the node's driver tools into every container that requests a GPU: "
            "images do not have them. Matches only mounted files, not files of these names on other file systems.",
            resource={},
            process={"drift_kind equals": ["foreign_mount"]},
            allow=(
                *("/usr/bin/nvidia-smi", "/usr/bin/nvidia-debugdump", "/usr/bin/nvidia-persistenced"),
                *("/usr/bin/nvidia-cuda-mps-control", "/usr/bin/nvidia-cuda-mps-server"),
            ),
        ),
    ),
    StarterRule(
        "gpu-operator",
        "GPU hooks",
        starter_rule(
            "NVIDIA GPU operator",
            "GPU operator",
            "The operator's driver container compiles the kernel modules for each node, and its toolkit container "
            "copies its programs to the node and runs them." + OWN_REGISTRY,
            resource={
                "namespace equals": ["gpu-operator", "nvidia-gpu-operator"],
                "image_name equals": ["nvcr.io/nvidia/driver", "nvcr.io/nvidia/k8s/container-toolkit"],
            },
            process={"process_path starts_with": ["/usr/src/nvidia-", "/usr/local/nvidia/toolkit/"]},
        ),
    ),
    *VENDOR_AGENTS,
)
