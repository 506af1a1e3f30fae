"""`{% url %}` for pages with dozens of links: the address of a view without arguments is looked up once per process."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.template import Library
from django.template.base import Parser, Token
from django.template.context import Context
from django.template.defaulttags import URLNode
from django.template.defaulttags import url as django_url
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.html import conditional_escape

register = Library()


class QuickURLNode(URLNode):
    """Django's, past the look-up where nothing but the view's name decides: URLs don't change while a process runs."""

    def render(self, context: Context) -> Any:
        if self.args or self.kwargs:
            return super().render(context)
        try:
            path = _path(self.view_name.resolve(context), get_script_prefix())
        except NoReverseMatch:
            if self.asvar is None:
                raise
            path = ""
        if self.asvar:
            context[self.asvar] = path
            return ""
        return conditional_escape(path) if context.autoescape else path


@cache
def _path(view_name: str, _script_prefix: str) -> str:
    return reverse(view_name)


@register.tag
def url(parser: Parser, token: Token) -> QuickURLNode:
    """Return Django's node, made quick."""
    node = django_url(parser, token)
    return QuickURLNode(node.view_name, node.args, node.kwargs, node.asvar)
