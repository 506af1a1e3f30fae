"""The panel of one rule: show it, check it while it is typed, and apply it to the draft."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from drift.policy.actions.drafts import change_draft
from drift.policy.domain.edits import Rule, find_rule
from drift.policy.errors import DocumentInvalid, PolicyConflict, UnknownRule
from drift.policy.forms.draft import draft_revision
from drift.policy.forms.rule import SCOPES, RuleForm, empty_condition, empty_rule, read_rule_form, rule_form
from drift.policy.queries.drafts import DraftState, draft_state
from drift.policy.views.default_rule import default_panel
from drift.policy.views.responses import KEPT, list_response, panel_response, shown_state
from drift.web.requests import signed_in_user
from sensor.policy import DEFAULT_RULE, KINDS, LIMITS, PROVIDERS, cloud_scope_summary
from sensor.policy.descriptions import ACTION_LABELS, OPERATOR_LABELS, PROPERTY_LABELS, PROVIDER_LABELS
from sensor.policy.document_terms import SEVERITIES
from sensor.policy.lookup_tables import entry_kind
from sensor.policy.properties import EQUALS_ONLY, TABLE

FIELDS = ("name", "action", "scope_description", "cloud_scope", "allow_list", "expires_at", "note", "severity")
"""The fields outside the builders, which have one error each."""
CHOICES = {"drift_kind": KINDS} | {each.name: each.values for each in TABLE if each.values}
"""The values of properties that have only a few."""


def rule(request: HttpRequest) -> HttpResponse:
    """Show the panel of one rule (`?rule=ID`), or of the default rule."""
    state = shown_state(request)
    rule_id = request.GET.get("rule", "")
    if rule_id == DEFAULT_RULE:
        return default_panel(request, state)
    found = find_rule(state.document, rule_id)
    if found is None:
        raise Http404
    return _panel(request, state, rule_form(found, state.document))


def new(request: HttpRequest) -> HttpResponse:
    """Show the panel of a new rule, with the errors to correct."""
    state = shown_state(request)
    return _panel(request, state, rule_form(empty_rule(), state.document))


def check(request: HttpRequest) -> JsonResponse:
    """Return, while the user types, errors and lint by field path, the rule in plain words, and the cloud scope."""
    form = read_rule_form(request.POST, shown_state(request).document)
    scope = cloud_scope_summary(form.rule["cloud_scope"])
    lint = {place: _lint(form, place) for place in form.findings}
    return JsonResponse({"errors": form.errors, "lint": lint, "words": form.words, "cloud_scope": scope})


def apply(request: HttpRequest) -> HttpResponse:
    """Put the rule as typed in the draft. 409 and 422 keep the panel open with everything that was typed.

    `step` is a button of the builder, pressed without JavaScript: the panel comes back with the step taken.
    """
    state = draft_state(signed_in_user(request))
    form = read_rule_form(request.POST, state.document)
    is_step = "step" in request.POST
    refusal, status = "", 200 if is_step else 422
    if not is_step and not form.errors:
        typed = form.rule
        try:
            outcome = f"{typed['name']} {'changed' if typed['id'] else 'added above the default rule'}"
            written = change_draft(state.expect(draft_revision(request)), form.edit, outcome)
        except UnknownRule:
            typed = {**typed, "id": ""}
            refusal, status = "This rule has been deleted. Apply adds it as a new one.", 409
        except PolicyConflict:
            refusal, status = KEPT, 409
        except DocumentInvalid as error:
            refusal = str(error.detail)
        else:
            return list_response(request, written, outcome, closes_panel=True, can_undo=True)
        # The draft may be another one by now: the panel shows its revision, and the errors that the rule has in it.
        state = draft_state(state.user)
        form = rule_form(typed, state.document)
    return _panel(request, state, form, refusal, status)


def _panel(
    request: HttpRequest, state: DraftState, form: RuleForm, refusal: str = "", status: int = 200
) -> HttpResponse:
    """Render the rule with each error beside its field."""
    shown, errors = form.rule, form.errors
    accounts = [place for place in form.findings if place.startswith("cloud_scope")]
    context = {
        "rule": shown,
        "errors": {field: errors.get(field) for field in FIELDS},
        "actions": ACTION_LABELS.items(),
        "scope_tree": _scope_tree(shown),
        "account_lint": [_lint(form, place) for place in accounts],
        "resource": _builder("resource_scope", form),
        "process": _builder("process_scope", form),
        "entries": [
            {
                "place": f"allow_list[{place}]",
                "value": entry,
                "error": errors.get(f"allow_list[{place}]"),
                "lint": _lint(form, f"allow_list[{place}]"),
                "is_name": _is_bare_name(entry),
            }
            for place, entry in enumerate(shown["allow_list"])
        ],
        "severities": [(name, name.capitalize()) for name in SEVERITIES],
        "expires_at": _local_time(shown["expires_at"]),
        "more_open": _uses_more(shown),
        "scope_summary": cloud_scope_summary(shown["cloud_scope"]),
        "words": form.words,
        "choices": CHOICES,
        "limits": LIMITS,
        "refusal": refusal,
        "is_typed": request.method == "POST",
        "focus": _focus(request.POST.get("step", ""), shown),
    }
    return panel_response(request, state, "policy/rule/panel.html", context, status)


def _focus(step: str, rule: Rule) -> str:
    """Return the field whose suggestion was just taken, which keeps the focus; "" for the first field."""
    kind, _, place = step.partition(":")
    has_field = place.startswith("allow_list") or any(place.startswith(scope) for scope in SCOPES if rule[scope])
    return place if kind == "suggestion" and has_field else ""


def _is_bare_name(entry: str) -> bool:
    """Whether an allow-list entry is only a file name, which anyone who writes a file can choose."""
    return entry_kind(entry)[0] == "name"


def _lint(form: RuleForm, place: str) -> dict[str, str] | None:
    """Return what the lint says of a field: its warning, and the words and step of its suggestion."""
    found = form.findings.get(place)
    if found is None:
        return None
    # An error of the lint is shown as the field's error, beside the others.
    return {
        "place": place,
        "warning": found.message if place not in form.errors else "",
        "suggestion": found.suggestion.words if found.suggestion else "",
        "step": f"suggestion:{place}",
    }


def _builder(scope: str, form: RuleForm) -> dict[str, Any]:
    """Return the context of one condition builder: its choices, and its cards of rows."""
    return {
        "scope": scope,
        "root": "Containers of selected cloud scope" if scope == "resource_scope" else "Processes of those containers",
        "properties": [(name, PROPERTY_LABELS[name]) for name in SCOPES[scope]],
        "operators": OPERATOR_LABELS.items(),
        "equals_only": " ".join(sorted(EQUALS_ONLY)),
        "cards": [_card(scope, place, condition, form) for place, condition in enumerate(form.rule[scope])],
        "blank": _card(scope, -1, empty_condition(SCOPES[scope][0]), RuleForm({}, {})),
        "error": form.errors.get(scope),
    }


def _card(scope: str, place: int, condition: dict[str, Any], form: RuleForm) -> dict[str, Any]:
    where, errors = f"{scope}[{place}]", form.errors
    rows = [
        {
            "place": f"{where}.any_of[{row}].value",
            "operator": value["operator"],
            "value": value["value"],
            "error": errors.get(f"{where}.any_of[{row}].value") or errors.get(f"{where}.any_of[{row}].operator"),
            "lint": _lint(form, f"{where}.any_of[{row}].value"),
        }
        for row, value in enumerate(condition["any_of"])
    ]
    return {
        "property": condition["property"],
        "rows": rows,
        "error": errors.get(f"{where}.property"),
        "lint": _lint(form, f"{where}.property"),
    }


def _scope_tree(rule: Rule) -> list[dict[str, Any]]:
    """Return the providers, each with the accounts that the rule names; the page adds the estate's environments."""
    whole = {entry["provider"] for entry in rule["cloud_scope"] if "accounts" not in entry}
    accounts: dict[str, dict[str, None]] = {provider: {} for provider in PROVIDERS}
    for entry in rule["cloud_scope"]:
        accounts[entry["provider"]] |= dict.fromkeys(entry.get("accounts", []))
    return [
        {"value": each, "label": PROVIDER_LABELS[each], "checked": each in whole, "accounts": accounts[each]}
        for each in PROVIDERS
    ]


def _local_time(expires_at: str | None) -> str:
    """Return the UTC time for a datetime-local field; a string that is not a time is returned unchanged."""
    if not expires_at:
        return ""
    try:
        moment = dt.datetime.fromisoformat(expires_at).astimezone(dt.UTC)
    except ValueError:
        return expires_at
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _uses_more(rule: Rule) -> bool:
    return bool(
        rule["process_scope"]
        or rule["unlisted"] != "decide"
        or rule["expires_at"]
        or rule["note"]
        or "severity" in rule
        or not rule["enabled"]
    )
