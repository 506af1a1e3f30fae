"""The filters of the audit log."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from accounts.forms.styled import StyledForm
from accounts.queries.audit import AuditFilters

_MOMENT: Final = {"type": "datetime-local"}


class AuditFilterForm(StyledForm):
    """Filters, all optional. Times are UTC."""

    actor = forms.CharField(max_length=256, required=False)
    verb = forms.CharField(label="Action", max_length=64, required=False)
    object_type = forms.CharField(label="Object type", max_length=64, required=False)
    object = forms.CharField(label="Object name or id", max_length=256, required=False)
    text = forms.CharField(label="Text", max_length=256, required=False)
    since = forms.DateTimeField(label="From (UTC)", required=False, widget=forms.DateTimeInput(_MOMENT))
    until = forms.DateTimeField(label="Until (UTC)", required=False, widget=forms.DateTimeInput(_MOMENT))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["verb"].widget.attrs["list"] = "verbs"
        self.fields["object_type"].widget.attrs["list"] = "object-types"

    @property
    def filters(self) -> AuditFilters:
        """The filters of a form that is valid."""
        return AuditFilters(**self.cleaned_data)
