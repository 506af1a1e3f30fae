"""A policy document that a user uploads or pastes."""

from __future__ import annotations

from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_text import file_format, parse_document

MAX_FILE: Final = 16 * 1024 * 1024
"""Bytes; 1,000 full rules take a tenth of it."""


def uploaded_document(request: HttpRequest) -> Any:
    """Return the JSON value in `file` or `text`, as JSON or YAML. Raises UnreadableError."""
    file = request.FILES.get("file")
    if isinstance(file, UploadedFile):
        if (file.size or 0) > MAX_FILE:
            raise UnreadableError("the file is larger than 16 MiB")
        return parse_document(file.read(), file_format(file.name or ""))
    text = request.POST.get("text", "")
    if not text.strip():
        raise UnreadableError("choose a file, or paste a document")
    # A lone surrogate becomes bytes that are not UTF-8, which the parser reports.
    return parse_document(text.encode("utf-8", "surrogatepass"))
