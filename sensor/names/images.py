"""Image references in the form that policies match and alerts show."""

from __future__ import annotations


def image_reference(name: str | None, digest: str | None) -> str | None:
    """Return `name@digest`, or the name alone without a digest; None without a name.

    A digest without a name is dropped: no policy value could match it.
    """
    if not name:
        return None
    return f"{name}@{digest}" if digest else name
