"""`{% url %}` as Django's, with addresses that are looked up once."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Context, Template
from django.urls import NoReverseMatch, reverse, set_script_prefix

from drift.web import url_tag


def rendered(text: str, **context: Any) -> str:
    return str(Template(text).render(Context(context)))


def test_addresses_are_those_of_reverse_with_and_without_arguments() -> None:
    text = (
        "{% url 'alerts:list' %} {% url name %} {% url 'alerts:detail' 7 %} {% url 'alerts:list' as there %}{{ there }}"
    )

    assert rendered(text, name="alerts:charts") == "/alerts/ /alerts/charts/ /alerts/7/ /alerts/"


def test_an_address_without_arguments_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def counted(name: str) -> str:
        looked_up.append(name)
        return reverse(name)

    url_tag._path.cache_clear()
    monkeypatch.setattr(url_tag, "reverse", counted)
    assert rendered("{% for _ in '12345' %}{% url 'alerts:list' %}{% endfor %}") == "/alerts/" * 5
    assert looked_up == ["alerts:list"]


def test_another_prefix_is_another_address() -> None:
    assert rendered("{% url 'alerts:list' %}") == "/alerts/"
    set_script_prefix("/portal/")
    try:
        assert rendered("{% url 'alerts:list' %}") == "/portal/alerts/"
    finally:
        set_script_prefix("/")


def test_an_unknown_view_is_an_error() -> None:
    with pytest.raises(NoReverseMatch):
        rendered("{% url 'nowhere' %}")
    assert rendered("{% url 'nowhere' as there %}[{{ there }}]") == "[]"
