"""The policy pages."""

from __future__ import annotations

from django.urls import path

from drift.policy.views import (
    default_rule,
    import_document,
    move_rules,
    page,
    proposals,
    rule_panel,
    starter_pack,
    versions,
)

app_name = "policy"
urlpatterns = [
    path("settings/policy/", page.page, name="page"),
    path("settings/policy/command/", page.command, name="command"),
    path("settings/policy/newer/", page.newer, name="newer"),
    path("settings/policy/marks/", page.marks, name="marks"),
    path("settings/policy/move/", move_rules.move, name="move"),
    path("settings/policy/order/", page.order, name="order"),
    path("settings/policy/discard/", page.discard, name="discard"),
    path("settings/policy/undo/", page.undo, name="undo"),
    path("settings/policy/rebase/", page.rebase, name="rebase"),
    path("settings/policy/save/", page.save, name="save"),
    path("settings/policy/default/", default_rule.default, name="default"),
    path("settings/policy/detect/", page.detect, name="detect"),
    path("settings/policy/review/", page.review, name="review"),
    path("settings/policy/rule/", rule_panel.rule, name="rule"),
    path("settings/policy/rule/new/", rule_panel.new, name="rule-new"),
    path("settings/policy/rule/apply/", rule_panel.apply, name="rule-apply"),
    path("settings/policy/rule/check/", rule_panel.check, name="rule-check"),
    path("settings/policy/propose/", proposals.propose, name="propose"),
    path("settings/policy/proposals/", proposals.listed, name="proposals"),
    path("settings/policy/proposals/<int:pk>/", proposals.proposal, name="proposal"),
    path("settings/policy/proposals/<int:pk>/comment/", proposals.add_comment, name="proposal-comment"),
    path("settings/policy/proposals/<int:pk>/take/", proposals.take, name="proposal-take"),
    path("settings/policy/proposals/<int:pk>/accept/", proposals.accept, name="proposal-accept"),
    path("settings/policy/proposals/<int:pk>/decline/", proposals.decline, name="proposal-decline"),
    path("settings/policy/proposals/<int:pk>/withdraw/", proposals.withdraw, name="proposal-withdraw"),
    path("settings/policy/starter-pack/", starter_pack.starter, name="starter"),
    path("settings/policy/import/", import_document.import_document, name="import"),
    path("settings/policy/versions/", versions.history, name="versions"),
    path("settings/policy/versions/compare/", versions.compare, name="compare"),
    path("settings/policy/versions/<int:number>/restore/", versions.restore, name="restore"),
    path("settings/policy/versions/<int:number>/export.<str:kind>", versions.export, name="export"),
]
