"""The pages of alerts."""

from __future__ import annotations

from django.urls import path

from drift.alerts.views import alert_list, charts, detail, export, policy_parts, suppression, triage
from drift.alerts.views import list_extras as extras

app_name = "alerts"
urlpatterns = [
    path("alerts/", alert_list.alert_list, name="list"),
    path("alerts/live/", alert_list.live, name="live"),
    path("alerts/selection/", alert_list.selection, name="selection"),
    path("alerts/charts/", charts.charts_page, name="charts"),
    path("alerts/views/", extras.view_save, name="view-save"),
    path("alerts/views/<int:pk>/delete/", extras.view_delete, name="view-delete"),
    path("alerts/samples/", extras.samples, name="samples"),
    path("alerts/export.csv", export.csv_report, name="export-csv"),
    path("alerts/export.jsonl", export.json_report, name="export-json"),
    path("alerts/rule-hits/", policy_parts.hits, name="rule-hits"),
    path("alerts/values/", policy_parts.values, name="values"),
    path("alerts/decided/rule/", policy_parts.decided_by_rule, name="decided-by-rule"),
    path("alerts/silenced/rule/", policy_parts.silenced_by_rule, name="silenced-by-rule"),
    path("alerts/silenced/draft/", policy_parts.silenced_by_draft, name="silenced-by-draft"),
    path("alerts/silenced/dismiss/", triage.dismiss_silenced, name="silenced-dismiss"),
    path("alerts/decide/", triage.decide, name="decide"),
    path("alerts/status/", triage.status, name="status"),
    path("alerts/undo/", triage.undo, name="undo"),
    path("alerts/assign/", triage.assign, name="assign"),
    path("alerts/suppression/", suppression.rules, name="suppression"),
    path("alerts/suppression/rule/", suppression.edit, name="suppression-edit"),
    path("alerts/suppression/simulate/", suppression.simulate, name="suppression-simulate"),
    path("alerts/suppression/delete/", suppression.delete, name="suppression-delete"),
    path("alerts/<int:pk>/", detail.detail, name="detail"),
    path("alerts/<int:pk>/live/", detail.alert_live, name="detail-live"),
    path("alerts/<int:pk>/alert.json", detail.alert_json, name="json"),
    path("alerts/<int:pk>/rule/", triage.rule, name="rule"),
    path("alerts/<int:pk>/comment/", triage.comment, name="comment"),
]
