"""A new destination, as an Admin enters it."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

from cryptography import x509
from django import forms
from django.core.exceptions import ValidationError

from accounts.forms.styled import StyledForm
from accounts.models import ScopeGroup
from accounts.plain_text import one_line, several_lines
from drift.siem.models import RecordFormat, Transport

HOST_NAME: Final = re.compile(r"(?=.{1,253}\.?\Z)(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
SYSLOG_PORT: Final = 6514


class DestinationForm(StyledForm):
    """Where alerts are forwarded, and in which form."""

    name = forms.CharField(max_length=128, validators=[one_line])
    transport = forms.ChoiceField(label="Send as", choices=Transport.choices)
    record_format = forms.ChoiceField(label="Format", choices=RecordFormat.choices)
    host = forms.CharField(
        required=False, max_length=255, validators=[one_line], help_text="For syslog: a host name or an IP address."
    )
    port = forms.IntegerField(required=False, min_value=1, max_value=65_535, initial=SYSLOG_PORT)
    ca = forms.CharField(
        label="CA certificates",
        required=False,
        max_length=65_536,
        validators=[several_lines],
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="For TLS, in PEM form. Leave empty to trust the CAs of the portal's system.",
    )
    file_name = forms.CharField(
        required=False, max_length=100, validators=[one_line], help_text="For a file: its name in SIEM_DIRECTORY."
    )
    scope_group = forms.ModelChoiceField(
        ScopeGroup.objects.order_by("name"),
        label="Scope",
        required=False,
        empty_label="The whole estate",
        help_text="Choose a group to send only the alerts in its scope.",
    )
    from_start = forms.BooleanField(label="Also send earlier changes", required=False)

    def clean_host(self) -> str:
        host: str = self.cleaned_data["host"].strip()
        if host and not (HOST_NAME.fullmatch(host) or _is_address(host)):
            raise ValidationError("Enter a host name or an IP address.")
        return host

    def clean_ca(self) -> str:
        text: str = self.cleaned_data["ca"].strip()
        if text:
            try:
                x509.load_pem_x509_certificates(text.encode())
            except ValueError:
                raise ValidationError("Enter certificates in PEM form.") from None
        return text

    def clean_file_name(self) -> str:
        name: str = self.cleaned_data["file_name"]
        if name and not FILE_NAME.fullmatch(name):
            raise ValidationError("Use letters, digits, dots, hyphens and underscores.")
        return name

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        is_file = values.get("transport") == Transport.FILE
        if is_file and not values.get("file_name") and "file_name" not in self.errors:
            self.add_error("file_name", "Enter the file's name.")
        for name in () if is_file else ("host", "port"):
            if not values.get(name) and name not in self.errors:
                self.add_error(name, "Enter the receiver's host and port.")
        # What belongs to the other way of sending was left over from it.
        unused = {"host": "", "port": None, "ca": ""} if is_file else {"file_name": ""}
        if values.get("transport") == Transport.TCP:
            unused["ca"] = ""
        return values | unused


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
