"""Command lines of kubectl, Docker and their like: which pod, container, namespace or image they name.

An option that is not known may have a value, which would be taken for the name: then a line names nothing. Of a line
that acts on several, all are named or none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from sensor.policy.lint.readings import Step

_COMMAND: Final = "A command is not part of a name."
_OF_CLUSTERS: Final = frozenset(("kubectl", "oc", "k", "microk8s.kubectl"))
_OF_CONTAINERS: Final = frozenset(("docker", "podman", "nerdctl", "crictl"))
_WITH_NAMESPACE: Final = _OF_CLUSTERS | {"helm", "stern", "flux", "istioctl", "k9s"}
_OTHERS: Final = frozenset(("kubens", "kubectx", "ctr", "skopeo", "docker-compose", "podman-compose"))
_ON_POD: Final = frozenset(("exec", "attach", "logs", "log", "cp", "debug", "port-forward"))
_ON_TYPE: Final = frozenset(("get", "describe", "delete", "top"))
_ON_CONTAINER: Final = frozenset(
    (
        *("exec", "attach", "logs", "cp", "inspect", "stop", "start", "restart", "kill", "rm", "top", "port", "pause"),
        *("unpause", "wait", "stats", "diff"),
    )
)
_ON_SEVERAL: Final = _ON_CONTAINER - {"exec", "attach", "cp", "top", "port", "diff"}
"""What is done with each container that is named; elsewhere a command or a port follows the first."""
_POD: Final = re.compile(r"(?:pods?|po)/(?P<name>.+)")
_NAMESPACES: Final = frozenset(("ns", "namespace", "namespaces", "project", "projects"))
_VALUED: Final = frozenset(
    (
        *("-n", "-c", "-e", "-u", "-o", "--namespace", "--container", "--context", "--env", "--user", "--kubeconfig"),
        *("--cluster", "--output", "--tail", "--since", "--workdir", "--image", "--target", "--grace-period"),
    )
)
_LETTERS: Final = {
    "exec": "itdq", "attach": "it", "debug": "itq", "logs": "fpt", "log": "fpt", "rm": "fv", "get": "A", "top": "A",
}  # fmt: skip
"""Options without a value, of what is done; -t of `docker stop` has one."""
_FLAG: Final = re.compile(
    r"--(?:stdin|tty|interactive|detach|quiet|follow|previous|all-namespaces|all-containers|timestamps|watch|force|now|"
    r"privileged|show-labels|all)|--[\w-]+=\S*|-[nco]=?[^-=\s]\S*"
)
_END: Final = re.compile(r"^\d?[|&;<>#]|;$")
"""Of a command, in a shell."""
_LINE: Final = re.compile(r"""^["'`]?(?:[$#%>]\s+)?(?:sudo\s+)?(?:[\w./-]*/)?([a-z0-9.-]+)\s+(?=\S)""")


def is_command(string: str) -> bool:
    """Return whether a line is a command of a tool for containers."""
    found = _LINE.match(string.strip())
    return found is not None and found[1] in _OF_CLUSTERS | _OF_CONTAINERS | _WITH_NAMESPACE | _OTHERS


def _words(string: str, tools: frozenset[str]) -> tuple[str, list[str]]:
    """Return the tool and the words behind it; none where it is another. What follows -- is run in the container."""
    found = _LINE.match(string)
    if found is None or found[1] not in tools:
        return "", []
    words = string[found.end() :].split()
    end = next((at for at, word in enumerate(words) if word == "--" or _END.search(word)), len(words))
    if end < len(words) and words[end] != "--" and is_command(" ".join(words[end + 1 :])):
        return found[1], []  # two commands: each names something
    return found[1], [*words[:end], *(word[:-1] for word in words[end : end + 1] if word.endswith(";"))]


class _Named(NamedTuple):
    """The words of a command that are certainly no options: first what is done. Three empty ones are behind them.

    `is_whole`: no other word may be one.
    """

    words: list[str]
    is_whole: bool

    def join(self, names: list[str]) -> str:
        """Return these names as a list, "" where others may be missing."""
        return ",".join(filter(None, names)) if self.is_whole else ""


def _named(
    words: list[str],
    valued: frozenset[str] = _VALUED,
    letters: Mapping[str, str] = _LETTERS,
    flag: re.Pattern[str] = _FLAG,
) -> _Named:
    """Return the words that are neither options nor their values, up to an option that may have a value or not."""
    left = iter(words)
    named: list[str] = []
    is_whole = True
    for word in left:
        if word in valued:
            next(left, None)
        elif not word.startswith("-"):
            named.append(word)
        elif not flag.fullmatch(word) and not (word[1:] and set(word[1:]) <= set(letters.get("".join(named[:1]), ""))):
            is_whole = all(each.startswith("-") for each in left)
            break
    return _Named([*named, "", "", ""], is_whole)


def option_of_command(short: str, long: str) -> Step:
    """Return a step that takes the value of an option out of a command line, such as `kubectl get pods -n shop`."""
    tools = _WITH_NAMESPACE if short == "-n" else _OF_CLUSTERS
    option = re.compile(rf"(?:^|.*?\s)(?:{short}\s*=?\s*|{long}(?:=|\s+))([^\s=-]\S*).*", re.S)

    def step(string: str) -> tuple[str, str] | None:
        _, words = _words(string, tools)
        if " -- " not in string and "exec" in words:
            # Without -- the command follows the pod, with options of its own.
            names = [each for each in _named(words).words[1:2] if each]
            words = words[: words.index(names[0])] if names else words
        found = option.fullmatch(" ".join(words))
        return (found[1], _COMMAND) if found else None

    return step


def pod_of_command(string: str) -> tuple[str, str] | None:
    """The pods that a command line names, as in `kubectl exec -it web-0 -- sh`."""
    named = _named(_words(string, _OF_CLUSTERS)[1])
    verb, *names = named.words
    if verb in _ON_TYPE and names[0] in ("pod", "pods", "po"):
        name = named.join(names[1:])
    elif verb in _ON_TYPE:
        name = named.join([found["name"] for found in map(_POD.fullmatch, names) if found])
    elif verb == "cp":
        name = _copied(names)
    else:
        name = re.sub(r"^(?:pods?|po)/", "", names[0]) if verb in _ON_POD else ""
    # Of deploy/web nobody knows the pods.
    return (name, _COMMAND) if name and "/" not in name else None


def container_of_command(string: str) -> tuple[str, str] | None:
    """The containers that a command line names, as in `docker exec -it web sh`."""
    named = _named(_words(string, _OF_CONTAINERS)[1])
    verb, *names = named.words
    if verb == "container":
        verb, *names = names
    if verb == "cp":
        name = _copied(names)
    elif verb in _ON_SEVERAL:
        name = named.join(names)
    else:
        name = names[0] if verb in _ON_CONTAINER else ""
    return (name, _COMMAND) if name else None


def _copied(names: list[str]) -> str:
    """Return the pod or container of the one path that is in one, as in `cp shop/web-0:/x y`."""
    inside = [each for each in names if re.match(r"(?:[\w.-]+/)?[\w.-]+:", each)]
    return inside[0].partition(":")[0].rpartition("/")[2] if len(inside) == 1 else ""


def namespace_of_command(string: str) -> tuple[str, str] | None:
    """The namespaces that a command line is about, as in `kubectl get ns shop`."""
    named = _named(_words(string, _OF_CLUSTERS)[1])
    verb, *names = named.words
    if verb not in _ON_TYPE | {"create", "label", "annotate", "edit"}:
        return None
    typed = [each.partition("/") for each in names]
    found = [name for kind, slash, name in typed if slash and kind in _NAMESPACES]
    if names[0] in _NAMESPACES:
        # What is put on them, or taken off: app=shop, app-.
        found = [each for each in names[1:] if "=" not in each and not each.endswith("-")]
    name = named.join(found)
    return (name, _COMMAND) if name else None


_IMAGE_TOOLS: Final = _OF_CONTAINERS | {"ctr", "skopeo", "buildah", "crane", "cosign", "trivy"}
_ON_IMAGE: Final = frozenset(
    (
        *("run", "create", "pull", "push", "rmi", "inspect", "history", "save", "tag", "images", "verify", "sign"),
        *("attest", "tree", "digest", "config", "export", "copy", "delete", "list-tags", "from"),
    )
)
_ON_IMAGES: Final = frozenset(("pull", "rmi", "rm", "inspect", "save", "verify", "sign", "attest"))
"""What is done with each image that is named; elsewhere a command or a second name follows the first."""
_GROUPS: Final = {"docker": ("image", "manifest"), "ctr": ("images", "image", "i")}
"""Words before what a tool does with an image."""
_ITSELF: Final = {"trivy": ("image", "i"), "crane": ("manifest", "ls")}
"""What other tools do with one by such a word."""
_IMAGE_VALUED: Final = frozenset(("--platform", "--name", "--network", "-v", "-p", "-e", "-w", "-u", "-n"))
_IMAGE_FLAG: Final = re.compile(
    r"-[itdPq]+|--(?:rm|detach|interactive|tty|init|privileged|read-only|publish-all|no-healthcheck|quiet|all-tags|all|"
    r"disable-content-trust|oom-kill-disable|no-trunc|insecure|force|no-prune|replace|raw|remote)|--[\w-]+=\S*|"
    r"-[vpewun][^\s-]\S*"
)
_BUILT: Final = re.compile(r"(?:.*\s)?(?:-t\s+|--tag[=\s]\s*)(\S+)(?:\s.*)?", re.S)


def image_of_command(string: str) -> str | None:
    """Return the images that a command line names, as in `docker run --rm nginx:1 sh`."""
    tool, words = _words(string, _IMAGE_TOOLS)
    if words[:1] in (["build"], ["buildx"], ["bud"]):
        built = _BUILT.fullmatch(" ".join(words))
        return built[1] if built else None
    named = _named(words, _IMAGE_VALUED, {}, _IMAGE_FLAG)
    verb, *names = named.words
    itself = _ITSELF.get(tool, ())
    known = _ON_IMAGE.union(itself)
    if verb in _GROUPS.get(tool, ("image",)) and verb not in itself:
        verb, *names = names
        known |= {"rm"}
    if verb not in known:
        return None
    return (named.join(names) if verb in _ON_IMAGES else names[0]) or None
