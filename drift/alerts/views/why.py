"""*Why did this alert, or not?* on the policy page: which rule decides, and why each above it did not."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import User
from drift.alerts.domain.alert_wording import REASONS
from drift.alerts.forms.why import QuestionInvalid, read_question
from drift.alerts.queries.asked_event import alert_facts, completed
from drift.alerts.queries.compiled_policies import CompiledVersion
from drift.alerts.queries.decision_trace import explained
from drift.fleet.queries.environments import environments_by_cloud
from drift.policy.queries.drafts import visible_state
from drift.policy.queries.versions import latest_version
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE
from sensor.policy.descriptions import PROPERTY_LABELS


def why(request: HttpRequest) -> HttpResponse:
    """GET the panel; POST adds the decision about what is asked. Nothing is written."""
    user = signed_in_user(request)
    context: dict[str, Any] = {"asked": request.POST, "clouds": environments_by_cloud(user)}
    status = 200
    if request.method == "POST":
        try:
            context |= _answer(user, request)
        except QuestionInvalid as error:
            context["refusal"], status = str(error), UNPROCESSABLE
    template = "alerts/rule_preview/why_panel.html" if is_fragment(request) else "alerts/rule_preview/why_page.html"
    return render(request, template, context, status=status)


def _answer(user: User, request: HttpRequest) -> dict[str, Any]:
    question = read_question(request.POST)
    if question.alert is not None:
        found = alert_facts(user, question.alert)
        if found is None:
            raise QuestionInvalid(f"There is no alert {question.alert}.")
        facts, note = {name: value for name, value in found.items() if value}, ""
    else:
        facts, note = completed(user, question.facts, question.place)
    state, saved = visible_state(user), latest_version()
    decisions = [_decided(f"{saved}, the latest version", CompiledVersion(saved.number, saved.document), facts)]
    if state.is_dirty:
        decisions.append(_decided("Your draft", CompiledVersion(saved.number, state.document), facts))
    shown = [(PROPERTY_LABELS[name], facts[name]) for name in PROPERTY_LABELS if facts.get(name)]
    return {"decisions": decisions, "facts": shown, "note": note, "alert": question.alert}


def _decided(title: str, version: CompiledVersion, facts: dict[str, Any]) -> dict[str, Any]:
    decision, steps = explained(version, facts)
    kind = facts.get("drift_kind")
    return {
        "title": title,
        "action": decision.action,
        "rule": steps[-1].name,
        "reason": REASONS.get(decision.reason, ""),
        "steps": steps,
        "unreported": kind if kind and kind not in version.document["detect"] else "",
    }
