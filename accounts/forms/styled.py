"""The base of forms in the style of these pages."""

from __future__ import annotations

from typing import Any

from django import forms


def style_inputs(form: forms.Form) -> None:
    """Give the form's inputs and selects the CSS class of ours."""
    for field in form.fields.values():
        if not isinstance(field.widget, forms.CheckboxInput | forms.RadioSelect):
            field.widget.attrs["class"] = "input"


class StyledForm(forms.Form):
    """A form in the style of these pages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        style_inputs(self)
