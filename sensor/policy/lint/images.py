"""The form of image references, and what is pasted for them: commands, addresses, Dockerfiles, cut digests."""

from __future__ import annotations

import re
from typing import Final

from sensor.policy.lint import expressions, readings
from sensor.policy.lint.container_commands import image_of_command
from sensor.policy.lint.findings import Flaw, Level, Suggestion, Value
from sensor.policy.lint.languages import language
from sensor.policy.lint.names import WILDCARDS

_LETTERS: Final = re.compile(r"[a-z0-9._/:-]*(?:@[a-z0-9._+:-]*)?")
_WORDS: Final = "An image is host/name:tag@digest, without blanks and other signs."
_FORMED: Final = "No image is formed so: each part of its name begins and ends with a letter or digit."
_DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Hexadecimal digits of the digests that registries have."""
_REGISTRIES: Final = re.compile(
    r"(?:(?:index\.|registry-1\.)?docker|ghcr|gcr|quay|lscr|nvcr|[a-z0-9-]+\.gcr|[a-z0-9-]+\.pkg\.dev|registry\.k8s|k8s\.gcr)\.io|mcr\.microsoft\.com"
    r"|public\.ecr\.aws|registry\.gitlab\.com|[a-z0-9-]+\.pkg\.dev|[a-z0-9]+\.azurecr\.io"
    r"|registry\.hub\.docker\.com|\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com|localhost:\d+|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?!js:)[a-z-]{2,}:(?!(?:19|20)\d\d$)\d{4,5}"
)
"""Hosts that are known as registries, or look so: no image is called so. A year is rather a tag than a port."""
_REGISTRY_KEY: Final = re.compile(r"^registry:(?!\d+(?:/|$))")
"""A key of YAML. `registry:5000/app` is a host with its port."""
_PREFIXED: Final = re.compile(r"(?:re|regexp?|glob|exact|prefix|pattern):(?!latest\b|v?\d)[^/]*[a-z]{3}")
"""How other tools say that they compare; `glob:7` is an image with its tag."""
_FILE: Final = re.compile(r"/(?:bin|sbin|usr|opt|etc|lib|lib64|home|root|tmp|var|proc|dev)/.*")
_EDGE: Final = re.compile(r"/[._-]|[_-][/:]|:[.-]")
"""Of a part that begins or ends as none does; a host may end with the dot of its root."""
_LONG_TAG: Final = re.compile(r":[^:/@]{129}")
_DIGEST_ALONE: Final = re.compile(r"sha256[:-][0-9a-f]{0,64}|[0-9a-f]{64}")
_TRANSPORT: Final = re.compile(r"^(?:docker-archive|docker-daemon|docker-image|containers-storage|oci-archive):", re.I)
_IPV6: Final = re.compile(r"^\[[0-9a-f:.]*:[0-9a-f:.]*\](?=:\d+/|/)")
"""A registry's address of IPv6, in brackets, before its port or path."""


def _strip_command(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+\S+)?$", r"\1", string, flags=re.IGNORECASE)
    text = re.sub(r"\s+AS\s+[\w.-]+$", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^(?:COPY|ADD)\s+(?:--\S+\s+)*?--from=(\S+)\s.*$", r"\1", text, flags=re.IGNORECASE)
    if named := re.search(r"\s--image[= ](\S+)", text):
        text = named[1]
    elif re.search(r"\sset\s+image\s", text) and (several := re.findall(r"\s(?:\w[\w.-]*|\*)=([^\s=]+)", text)):
        text = ",".join(several)
    text = re.sub(r"^--filter[= ](?=\S)", "", text)
    return image_of_command(text) or text, "A command is not part of an image's name."


def _strip_site(string: str) -> tuple[str, str] | None:
    text = re.sub(
        r"^(?:https?://)?hub\.docker\.com/(?:r/|_/|layers/|repository/docker/)", "", string, flags=re.IGNORECASE
    )
    text = re.sub(r"^(?:https?://)?quay\.io/repository/", "quay.io/", text)
    text = re.sub(
        r"^(?:https?://)?github\.com/(?:orgs/)?([\w-]+)/(?:[\w.-]+/pkgs|packages)/container/(?:package/)?",
        r"ghcr.io/\1/",
        text,
    )
    text = text.partition("?")[0].partition("#")[0] if text != string else text
    return re.sub(r"^_/", "", text).removesuffix("/tags"), "The address of a web page is not an image's name."


def _strip_transport(string: str) -> tuple[str, str] | None:
    return _TRANSPORT.sub("", string), "How an image is transported is not part of its name."


def _image_of_row(string: str) -> tuple[str, str] | None:
    """A row of `docker images`: repository, tag, id, age and size; or name and id of `docker image ls`."""
    text = re.sub(r"^([\w./:-]+) {2,}([\w.-]+) {2,}[0-9a-f]{12} .*$", r"\1:\2", string)
    text = re.sub(r"^([\w./:-]+)\s+\((?:sha256:)?[0-9a-f]{12,64}\)$", r"\1", text)
    text = re.sub(r"^([\w./-]+)\s+(latest|v?\d[\w.-]*)$", r"\1:\2", text)
    text = re.sub(r",?\s+(?:linux|windows)/[a-z0-9]+(?:/v\d)?$", "", text)
    return re.sub(r"^(?:image )?tag\s*[:=]\s*(?=\S)", ":", text, flags=re.I), "An image is written name:tag."


def _join_tag(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^((?!from\b|image\b|tag\b|repo)[\w./-]+)(?: :|: | : )([\w][\w.-]*)$", r"\1:\2", string, flags=re.I)
    return text, "An image has no blanks."


def _tag_after_equals(string: str) -> tuple[str, str] | None:
    return re.sub(r"^([\w./-]+)==?(v?\d[\w.-]*)$", r"\1:\2", string), "A tag follows a colon."


_STEPS: Final[tuple[readings.Step, ...]] = (
    readings.strip_blanks,
    readings.strip_end,
    readings.unquote_string,
    readings.strip_list_mark,
    readings.strip_star,
    readings.strip_markup,
    _tag_after_equals,
    expressions.unfold_condition,
    readings.strip_key(
        *("image id", "image remote", "image", "images", "image_name", "imagename", "repository", "repo", "repos"),
        *("file_image", "imagereferences", "ancestor", "reference", "prefix", "image.name"),
    ),
    readings.unquote_string,
    _join_tag,
    _image_of_row,
    readings.strip_syntax,
    _strip_command,
    _strip_site,
    readings.strip_scheme,
    _strip_transport,
    readings.unfold_alike,
    readings.decode_percent,
    readings.unfold_regex,
)


def image_flaw(operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of an image, None where it may match."""
    problem = _problem(operator, string)
    if problem is None:
        return None
    level, words = problem
    reading = readings.read(string, _STEPS, ",;|")
    parts = [part for each in reading.strings for part in _split_images(each)]
    # Of my.image:8080 only the port would be left.
    is_open = reading.is_open or any(re.fullmatch(r"[\d.]+", part) for part in parts)
    values = () if is_open else tuple(_meant(operator, each) for each in parts)
    is_right = all(_problem(*value) is None for value in values) and values != ((operator, string),)
    if operator != "matches" and readings.WILDCARD.search(string) and not reading.reason:
        words = WILDCARDS
    return Flaw(level, reading.reason or words, Suggestion(values) if values and is_right else None)


def _split_images(string: str) -> list[str]:
    """Return the images of a list with blanks, if each part is certainly one."""
    parts = string.split()
    return parts if len(parts) > 1 and all(re.search(r"[/:]", part) for part in parts) else [string]


def _problem(operator: str, string: str) -> tuple[Level, str] | None:
    text = _IPV6.sub("host.", string.casefold())
    is_possible = _is_possible(operator, string)
    if re.search(r"[\[\]]", text):
        return None if is_possible else ("error", _WORDS)
    problem = _pattern_problem(text) if operator == "matches" else _reference_problem(operator, text)
    return problem or (None if is_possible else ("warning", _FORMED))


def _pattern_problem(text: str) -> tuple[Level, str] | None:
    # A wildcard may stand for any part: only the letters beside it are known.
    known = readings.WILDCARD.sub("", text)
    has_letters = re.fullmatch(r"[a-z0-9._/:@+-]*", known) and "://" not in text
    return None if has_letters and ("+" not in text or "@" in text) else ("error", _WORDS)


def _reference_problem(operator: str, text: str) -> tuple[Level, str] | None:
    if not _LETTERS.fullmatch(text) or "//" in text or ":/" in text:
        return "error", _WORDS
    name, at, digest = text.partition("@")
    if at:
        return _digest_problem(operator, name, digest)
    from_start, to_end = operator in ("equals", "starts_with"), operator in ("equals", "ends_with")
    impossible = {
        "This is the path of a file, not an image.": from_start and _FILE.fullmatch(text),
        "An image's name begins with a letter or digit.": from_start and re.match(r"[/:._-]", text),
        "An image's name does not end so.": to_end and re.search(r"[/:._-]$", text),
    }
    words = next((words for words, is_found in impossible.items() if is_found), "")
    return ("error", words) if words else _name_problem(operator, text)


def _is_possible(operator: str, string: str) -> bool:
    """Return whether some image satisfies the value; digests are compared only where it has @."""
    grammar = "image_with_digest" if "@" in string else "image"
    return language(grammar).may_satisfy(operator, string.casefold())


def _name_problem(operator: str, text: str) -> tuple[Level, str] | None:
    last = text.rpartition("/")[2]
    if _TRANSPORT.match(text) and operator in ("equals", "starts_with"):
        return "warning", "How an image is transported is not part of its name."
    if last.count(":") > 1:
        return "error", "An image has one tag; a digest follows @."
    if operator in ("equals", "starts_with") and re.match(r"[^/]*:(?!\d+/)[^/]*/|.+/[^/]*:[^/]*/", text):
        return "error", "A tag is the last part of an image's name."
    suspicious = {
        "Such a prefix is not known here.": operator in ("equals", "starts_with") and _PREFIXED.match(text),
        "No part of an image's name begins or ends so.": operator == "equals" and _EDGE.search(text),
        "A tag has at most 128 characters.": _LONG_TAG.search(text),
        "A digest is compared only where the value has @ before it.": _DIGEST_ALONE.fullmatch(text),
        "hub.docker.com is a web page: images come from docker.io.": text.startswith("hub.docker.com/"),
        "This is a registry, not an image.": operator in ("equals", "ends_with")
        and _REGISTRIES.fullmatch(_REGISTRY_KEY.sub("", text)),
    }
    return next((("warning", words) for words, is_found in suspicious.items() if is_found), None)


def _digest_problem(operator: str, name: str, digest: str) -> tuple[Level, str] | None:
    if operator in ("equals", "starts_with") and not name:
        return "error", "An image's name is missing before @."
    if re.search(r"[/:._-]$", name):
        return "error", "An image's name does not end so."
    if operator in ("equals", "ends_with"):
        return _whole_digest_problem(digest)
    is_start = re.fullmatch(r"[a-z0-9+._-]*(?::[0-9a-f]{0,128})?", digest)
    return None if is_start else ("error", "A digest is sha256: and 64 hexadecimal digits.")


def _whole_digest_problem(digest: str) -> tuple[Level, str] | None:
    algorithm, _, digits = digest.partition(":")
    if not re.fullmatch(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]{32,}", digest):
        return "error", "A digest is sha256: and 64 hexadecimal digits."
    if len(digits) != _DIGITS.get(algorithm, len(digits)):
        return "error", f"A digest has {_DIGITS[algorithm]} hexadecimal digits after {algorithm}:."
    return ("warning", "Images have digests of SHA-256.") if algorithm in ("md5", "sha1") else None


_EDGES: Final = (
    ("equals", re.compile(rf"(?:{_REGISTRIES.pattern})"), "starts_with", "/"),
    ("equals", re.compile(r".*[/._-]"), "starts_with", ""),
    ("equals", re.compile(rf"(?!{_FILE.pattern})[/:-].*"), "ends_with", ""),
    ("starts_with", re.compile(r"/.*"), "contains", ""),
    ("ends_with", re.compile(rf"(?:{_REGISTRIES.pattern})"), "contains", "/"),
    ("ends_with", re.compile(r".*[/:-]"), "contains", ""),
)
"""For an operator and a form that no whole image has: the operator that was meant, and what to add to the value."""


def _meant(operator: str, string: str) -> Value:
    if operator != "matches" and readings.WILDCARD.search(string):
        return readings.split_pattern(operator, string)
    text = string.casefold()
    if of_digest := re.fullmatch(r"(?:sha256[:-])?([0-9a-f]{64})", text):
        return "ends_with", f"@sha256:{of_digest[1]}"
    if re.fullmatch(r"sha256:[0-9a-f]*", text):
        return "contains", f"@{string}"
    if of_digest := re.fullmatch(r"([^@]+?)[:@]+(sha256:[0-9a-f]+)", text):
        string = f"{of_digest[1]}@{of_digest[2]}"
    name, at, digest = re.sub(r"/{2,}", "/", string).partition("@")
    if at:
        return _digest_meant(operator, name, digest.rstrip("."))
    string, text = _REGISTRY_KEY.sub("", name), _REGISTRY_KEY.sub("", text)
    for typed, form, meant, end in _EDGES:
        if operator == typed and form.fullmatch(text):
            return meant, string + end
    return operator, string.rstrip(":") if operator == "equals" else string


def _digest_meant(operator: str, name: str, digest: str) -> Value:
    if re.fullmatch(r"sha256:[0-9a-f]{1,63}", digest.casefold()):
        is_start = operator in ("equals", "starts_with") and name
        return ("starts_with" if is_start else "contains"), f"{name}@{digest}"
    if re.fullmatch(r"[0-9a-f]{64}", digest.casefold()):
        digest = f"sha256:{digest}"
    elif not digest or re.fullmatch(r"v?\d[\w.-]*|latest", digest.casefold()):
        return operator, f"{name}:{digest}".rstrip(":")
    return ("ends_with" if not name and operator in ("equals", "starts_with") else operator), f"{name}@{digest}"
