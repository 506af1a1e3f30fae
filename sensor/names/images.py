"""Image references: how they are put together, and the forms in which policies compare them."""

from __future__ import annotations

from typing import Final

LIBRARY: Final = "docker.io/library/"


def image_reference(name: str | None, digest: str | None) -> str | None:
    """Return `name@digest`, or the name alone without a digest; None without a name.

    A digest without a name is dropped: no policy value could match it.
    """
    if not name:
        return None
    return f"{name}@{digest}" if digest else name


def image_forms(image: str) -> tuple[list[tuple[str, str]], str | None]:
    """Return the forms that a folded image reference is compared in (docs/policy-semantics.md#image-names).

    In: the casefolded `image_name`. Out: with its registry host and, where it has one, without; of each the
    name with its `:tag` and the bare one; and the digest after `@`, None where there is none.
    """
    name, at, digest = image.partition("@")
    names = [name]
    if name.startswith(LIBRARY):
        names.append(name[len(LIBRARY) :])
    else:
        host, slash, rest = name.partition("/")
        if slash and ("." in host or ":" in host or host == "localhost"):
            names.append(rest)
    return [(name, bare_name(name)) for name in names], digest if at else None


def bare_name(name: str) -> str:
    """Return an image name without its `:tag`: what follows the first `:` after the last `/`."""
    repository, slash, last = name.rpartition("/")
    return repository + slash + last.partition(":")[0]
