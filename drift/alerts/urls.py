"""The pages of alerts."""

from __future__ import annotations

from django.urls import path

from drift.alerts.views import (
    alert_list,
    charts,
    detail,
    export,
    floods,
    hash_lists,
    hidden_report,
    incidents,
    report,
    rule_preview,
    sample_alerts,
    saved_views,
    suppression,
    triage,
)

app_name = "alerts"
urlpatterns = [
    path("alerts/", alert_list.alert_list_page, name="list"),
    path("alerts/completions/", alert_list.completions, name="completions"),
    path("alerts/live/", alert_list.live, name="live"),
    path("alerts/density/", alert_list.density, name="density"),
    path("alerts/selection/", alert_list.selection, name="selection"),
    path("alerts/charts/", charts.charts_page, name="charts"),
    path("alerts/views/", saved_views.save, name="view-save"),
    path("alerts/views/<int:pk>/delete/", saved_views.delete, name="view-delete"),
    path("alerts/samples/", sample_alerts.create, name="samples"),
    path("alerts/export.csv", export.csv_report, name="export-csv"),
    path("alerts/export.jsonl", export.json_report, name="export-json"),
    path("alerts/rule-hits/", rule_preview.hits, name="rule-hits"),
    path("alerts/values/", rule_preview.values, name="values"),
    path("alerts/decided/rule/", rule_preview.decided_by_rule, name="decided-by-rule"),
    path("alerts/silenced/rule/", rule_preview.ignored_by_rule, name="ignored-by-rule"),
    path("alerts/silenced/draft/", rule_preview.ignored_by_draft, name="ignored-by-draft"),
    path("alerts/silenced/dismiss/", triage.dismiss_ignored, name="ignored-dismiss"),
    path("alerts/decide/", triage.resolution_panel, name="decide"),
    path("alerts/status/", triage.status, name="status"),
    path("alerts/undo/", triage.undo, name="undo"),
    path("alerts/assign/", triage.assign, name="assign"),
    path("alerts/known-files/", hash_lists.hash_lists, name="hash-lists"),
    path("alerts/known-files/add/", hash_lists.add, name="hash-list-add"),
    path("alerts/known-files/delete/", hash_lists.delete, name="hash-list-delete"),
    path("alerts/known-files/look-up/", hash_lists.look_up_files, name="hash-look-up"),
    path("alerts/suppression/", suppression.rules, name="suppression"),
    path("alerts/suppression/report/", hidden_report.hidden_report, name="hidden-report"),
    path("alerts/suppression/rule/", suppression.edit, name="suppression-edit"),
    path("alerts/suppression/simulate/", suppression.simulate, name="suppression-simulate"),
    path("alerts/suppression/delete/", suppression.delete, name="suppression-delete"),
    path("alerts/incidents/<int:pk>/", incidents.incident_page, name="incident"),
    path("alerts/<int:pk>/", detail.detail, name="detail"),
    path("alerts/<int:pk>/live/", detail.alert_live, name="detail-live"),
    path("alerts/<int:pk>/alert.json", detail.alert_download, name="json"),
    path("alerts/<int:pk>/report/", report.report, name="report"),
    path("alerts/<int:pk>/rule/", triage.rule, name="rule"),
    path("alerts/<int:pk>/release/", floods.release, name="release"),
    path("alerts/<int:pk>/comment/", triage.comment, name="comment"),
]
