"""Image references: how they are put together, and the forms in which policies compare them."""

from __future__ import annotations

from typing import Final

HUB_HOSTS: Final = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
"""Docker Hub's, the usual one first."""
_PORT: Final = ":443"
"""That of registries which name none."""
LIBRARY: Final = "docker.io/library/"
_ANCHORED: Final = {"contains": "starts_with", "ends_with": "equals"}
"""Of an operator that may begin within a name, the one that holds where it begins with the name."""


def image_reference(name: str | None, digest: str | None) -> str | None:
    """Return `name@digest`, or the name alone without a digest; None without a name.

    A digest without a name is dropped: no policy value could match it.
    """
    if not name:
        return None
    return f"{name}@{digest}" if digest else name


def full_reference(name: str) -> str:
    """Return an image's name in the one spelling that events have (docs/wire.md#drift-event).

    A host is in lower case and without the port that is meant without one. Docker Hub's other hosts become `docker.io`,
    and what is in its library, or has no host, begins with it.
    """
    host, path = _split_host(name)
    if not name or host not in (None, HUB_HOSTS[0]):
        return f"{host}/{path}" if name else name
    return f"{HUB_HOSTS[0]}/{path}" if "/" in path else f"{LIBRARY}{path}"


def image_forms(image: str) -> tuple[list[tuple[str, str]], str | None]:
    """Return the forms that a folded image reference is compared in (docs/policy-semantics.md#image-names).

    In: the casefolded `image_name`. Out: all spellings of its name, of each the one with its `:tag` and the bare one;
    and the digest after `@`, None where there is none.
    """
    name, at, digest = image.partition("@")
    forms = [(spelling, bare_name(spelling)) for spelling in _spellings(name)]
    if name and not at and bare_name(name) == name:
        forms += [(f"{bare}:latest", bare) for _, bare in forms]
    return forms, digest if at else None


def compared_values(operator: str, value: str) -> list[tuple[str, str]]:
    """Return what holds for the forms where a rule's folded value holds for some spelling of the registry's host.

    Only a whole host at the value's start is spelled anew, and it stays a whole one at the image's start: else the rule
    would hold for other registries, and for folders that are called as one.
    """
    host, slash, path = value.partition("/")
    usual = _usual_host(host)
    # A wildcard in a host may stand for a slash too.
    if usual == host or not _is_host(host) or "*" in host or "?" in host:
        return [(operator, value)]
    if not slash:
        # Else what looks like a host with its port is rather a name with its tag.
        is_host = operator == "starts_with" or (operator == "contains" and usual == HUB_HOSTS[0])
        return [(operator, value), *([("starts_with", f"{usual}/")] if is_host else [])]
    anchored = _ANCHORED.get(operator)
    return [(operator, value), (anchored, f"{usual}/{path}")] if anchored else [(operator, f"{usual}/{path}")]


def names_registry(value: str) -> bool:
    """Return whether an image name, or the start of one, names a registry host."""
    return _split_host(value)[0] is not None


def _spellings(name: str) -> list[str]:
    """Return an image's name with its registry's host, and without; short names are not expanded."""
    host, path = _split_host(name)
    if host is None:
        return [name]
    if host != HUB_HOSTS[0]:
        return [f"{host}/{path}", path]
    # What is in Docker's own library is there with that part and without.
    short = path.removeprefix("library/")
    paths = [path] if "/" in short and short == path else [f"library/{short}", short]
    return [*(f"{HUB_HOSTS[0]}/{each}" for each in paths), *paths]


def _split_host(name: str) -> tuple[str | None, str]:
    """Split a name into its registry's host in its usual spelling, None where it has none, and the rest."""
    host, slash, path = name.partition("/")
    if slash and _is_host(host):
        return _usual_host(host), path
    # No repository has capital letters: so this is a host too (github.com/distribution/reference).
    return (host, path) if slash and host != host.lower() else (None, name)


def _is_host(part: str) -> bool:
    return "." in part or ":" in part or part.lower() == "localhost"


def _usual_host(host: str) -> str:
    usual = host.lower()
    without_port = usual.removesuffix(_PORT)
    if without_port != usual and _is_host(without_port):
        usual = without_port
    return HUB_HOSTS[0] if usual in HUB_HOSTS else usual


def bare_name(name: str) -> str:
    """Return an image name without its `:tag`: what follows the first `:` after the last `/`."""
    repository, slash, last = name.rpartition("/")
    return repository + slash + last.partition(":")[0]
