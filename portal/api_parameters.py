"""Query parameters of API calls: only those that the OpenAPI schema documents, each once unless it is a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer, ListField, MultipleChoiceField
from rest_framework.views import APIView

MAX_SHOWN: Final = 100
"""Characters of an unknown name that the response repeats."""


def parameter_rejection(request: HttpRequest, view: Callable[..., Any]) -> HttpResponseBase | None:
    """Return 400 for an undocumented or repeated query parameter of an API call, which it names; else None.

    An unknown parameter would be ignored silently, and a misspelt filter return what it should have left out.
    """
    view_class = getattr(view, "cls", None)
    if not request.META.get("QUERY_STRING") or view_class is None or not issubclass(view_class, APIView):
        return None
    method = "get" if request.method == "HEAD" else (request.method or "").lower()
    known = documented_parameters(view_class, method)
    if known is None:
        return None
    for name, values in request.GET.lists():
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            shown = name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"
            return _bad_request("unknown_parameter", shown, f"Unknown query parameter. This call has: {allowed}.")
        if len(values) > 1 and not known[name]:
            return _bad_request("repeated_parameter", name, "This query parameter can be given only once.")
    return None


def _bad_request(code: str, name: str, message: str) -> HttpResponseBase:
    return JsonResponse({"code": code, "message": message, "field": name}, status=400)


@cache
def documented_parameters(view_class: type[APIView], method: str) -> Mapping[str, bool] | None:
    """Return the query parameters that `@extend_schema` gives a view's method, and whether each is a list.

    None for a method that the view does not document, such as OPTIONS, or does not have: it answers 405 itself.
    """
    schema_class = getattr(getattr(view_class, method, None), "kwargs", {}).get("schema")
    if schema_class is None:
        return None
    view, schema = view_class(), schema_class()
    view.request, view.kwargs = Request(HttpRequest()), {}
    schema.view, schema.method = view, method.upper()
    known: dict[str, bool] = {}
    for parameter in schema.get_override_parameters():
        if isinstance(parameter, OpenApiParameter):
            if parameter.location == OpenApiParameter.QUERY:
                known[parameter.name] = bool(parameter.many)
        else:
            serializer: BaseSerializer[Any] = parameter() if isinstance(parameter, type) else parameter
            fields: Mapping[str, Any] = getattr(serializer, "fields", {})
            known |= {name: isinstance(field, (ListField, MultipleChoiceField)) for name, field in fields.items()}
    return known
