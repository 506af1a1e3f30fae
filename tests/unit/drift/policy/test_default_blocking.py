"""A default rule that blocks: behind a setting, a backtest, a typed confirmation and waves, whatever way it takes."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from drift.backtest.models import BacktestRun, RunState
from drift.fleet.actions.rollout_control import roll_back
from drift.fleet.models import Rollout, RolloutPlan
from drift.fleet.queries.rollout_waves import DEFAULT_BLOCK_PAUSE, DEFAULT_BLOCK_WAVES
from drift.policy.actions import drafts, versions
from drift.policy.actions.proposals import accept_proposal, propose_draft, propose_restore
from drift.policy.domain import edits
from drift.policy.errors import (
    ApproverRequired,
    BacktestMissing,
    DefaultBlocks,
    DefaultMayNotBlock,
    PolicyConflict,
    SensorsLack,
)
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_number, latest_version
from sensor.policy import digest
from tests.unit.drift.fleet import estate
from tests.unit.drift.policy.page_client import PAGE, send, text
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]
API = "/api/v1/policy/"
BLOCK, DRY = {"action": "block"}, {"action": "block", "dry_run": True}
BLOCKING = document("A", default=BLOCK)
TYPED = "block by default"


@pytest.fixture(autouse=True)
def _queued(queued: list[Any]) -> None:
    """Nothing here reaches a broker."""


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True


def backtested(user: Any, after: dict[str, Any] = BLOCKING, **fields: Any) -> BacktestRun:
    """A finished run of the document against the latest version, over seven days."""
    now = timezone.now()
    run: BacktestRun = BacktestRun.objects.create(
        started_by=user,
        base=latest_version(),
        document=after,
        **{
            "digest": digest(after),
            "first_day": now.date() - dt.timedelta(days=6),
            "until": now,
            "state": RunState.DONE,
            "finished_at": now,
            "progress": 100,
            **fields,
        },
    )
    return run


def blocking_version(user: Any) -> PolicyVersion:
    backtested(user)
    return versions.save_document(user, BLOCKING, latest_number() or 0, confirmation=TYPED).version


def test_while_the_setting_is_off_no_way_leads_to_it(admin: Any, operator: Any, owner: Any, settings: Any) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True
    proposed = propose_draft(drafts.change_draft(draft_state(operator), edits.set_default_action("block")))[1]
    old = blocking_version(admin)
    Rollout.objects.filter(version=old).update(waves_left=0)
    versions.save_document(admin, document("A"), old.number)
    settings.DEFAULT_RULE_MAY_BLOCK = False
    base = latest_number() or 0
    backtested(admin)
    for edit in (
        edits.set_default_action("block"),
        edits.set_default_action("block", dry_run=True),
        edits.replace_document(BLOCKING),
    ):
        with pytest.raises(DefaultMayNotBlock):
            drafts.change_draft(draft_state(admin), edit)
    for save in (
        lambda: versions.save_document(admin, BLOCKING, base, confirmation=TYPED),
        lambda: versions.save_document(admin, document("A", default=DRY), base),
        lambda: versions.restore_version(admin, old.number, base, confirmation=TYPED),
        lambda: propose_restore(operator, old.number, base),
        lambda: accept_proposal(owner, proposed, base, confirmation=TYPED),
        lambda: roll_back(admin, base),
    ):
        with pytest.raises(DefaultMayNotBlock):
            save()
    assert latest_number() == base


def test_a_draft_from_before_the_setting_was_off_is_neither_saved_nor_proposed(admin: Any, settings: Any) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True
    state = drafts.change_draft(draft_state(admin), edits.set_default_action("block"))
    settings.DEFAULT_RULE_MAY_BLOCK = False
    with pytest.raises(DefaultMayNotBlock):
        versions.save_draft(state, confirmation=TYPED)
    with pytest.raises(DefaultMayNotBlock):
        propose_draft(state)
    state = drafts.change_draft(state, edits.add_rule(rule("B")))
    state = drafts.change_draft(state, edits.set_default_action("alert"))
    assert versions.save_draft(state).is_new


def test_an_import_that_the_setting_refuses_says_so_in_its_panel(editor: Client, admin: Any) -> None:
    refused = send(editor, admin, "import/", {"text": json.dumps(BLOCKING)})
    assert refused.status_code == 409
    assert "the setting DEFAULT_RULE_MAY_BLOCK is off" in text(refused)


def test_where_it_blocks_already_the_setting_changes_nothing_and_it_can_be_ended(admin: Any, settings: Any) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True
    old = blocking_version(admin)
    settings.DEFAULT_RULE_MAY_BLOCK = False
    more = versions.save_document(admin, document("A", "B", default=BLOCK), old.number).version
    ended = versions.save_document(admin, document("A", "B", default={"action": "alert"}), more.number)
    assert ended.is_new


def test_a_dry_run_from_before_the_setting_was_off_stays_and_does_not_become_a_block(admin: Any, settings: Any) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True
    base = versions.save_document(admin, document("A", default=DRY), latest_number() or 0).version.number
    state = drafts.change_draft(draft_state(admin), edits.set_default_action("block"))
    settings.DEFAULT_RULE_MAY_BLOCK = False
    backtested(admin)
    for save in (
        lambda: versions.save_draft(state, confirmation=TYPED),
        lambda: propose_draft(state),
        lambda: versions.save_document(admin, BLOCKING, base, confirmation=TYPED),
        lambda: drafts.change_draft(drafts.discard_draft(state), edits.set_default_action("block")),
    ):
        with pytest.raises(DefaultMayNotBlock):
            save()
    assert versions.save_document(admin, document("A", "B", default=DRY), base).version.document["default"] == DRY


@pytest.mark.usefixtures("allowed")
def test_it_needs_a_backtest_and_then_the_typed_phrase_whatever_way_it_is_saved(admin: Any, owner: Any) -> None:
    base = latest_number() or 0
    state = drafts.change_draft(draft_state(admin), edits.replace_document(BLOCKING))
    with pytest.raises(BacktestMissing):
        versions.save_document(admin, BLOCKING, base, confirmation=TYPED)
    with pytest.raises(BacktestMissing):
        versions.save_draft(state, confirmation=TYPED)
    run = backtested(admin)
    for typed in ("", "block", "yes", "leave sensors behind, detect nothing"):
        with pytest.raises(DefaultBlocks):
            versions.save_draft(state, confirmation=typed)
    _, proposal = propose_draft(state)
    with pytest.raises(DefaultBlocks):
        accept_proposal(owner, proposal, base)
    saved = accept_proposal(owner, proposal, base, confirmation=" Block BY default ").version
    ended = versions.save_document(admin, document("A"), saved.number).version
    with pytest.raises(BacktestMissing):
        versions.restore_version(admin, saved.number, ended.number, confirmation=TYPED)
    run.delete()
    backtested(owner)
    with pytest.raises(DefaultBlocks):
        versions.restore_version(admin, saved.number, ended.number)
    assert versions.restore_version(admin, saved.number, ended.number, confirmation=TYPED).is_new


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    "fields",
    [
        {"digest": digest(document("B", default=BLOCK))},
        {"scope_digest": "a" * 64},
        {"state": RunState.FAILED},
        {"state": RunState.RUNNING, "finished_at": None},
        {"finished_at": timezone.now() - dt.timedelta(hours=25)},
        {"first_day": timezone.now().date() - dt.timedelta(days=5)},
    ],
)
def test_a_backtest_counts_only_if_it_is_of_just_these_changes_whole_done_and_recent(
    admin: Any, fields: dict[str, Any]
) -> None:
    backtested(admin, **fields)
    with pytest.raises(BacktestMissing):
        versions.save_document(admin, BLOCKING, latest_number() or 0, confirmation=TYPED)


@pytest.mark.usefixtures("allowed")
def test_a_backtest_against_an_older_version_does_not_count(admin: Any) -> None:
    backtested(admin)
    versions.save_document(admin, document("B"), 1)
    with pytest.raises(BacktestMissing):
        versions.save_document(admin, BLOCKING, 2, confirmation=TYPED)


@pytest.mark.usefixtures("allowed")
def test_a_dry_run_needs_neither_and_its_end_needs_both(admin: Any) -> None:
    dry = versions.save_document(admin, document("A", default=DRY), 1).version
    with pytest.raises(BacktestMissing):
        versions.save_document(admin, BLOCKING, dry.number, confirmation=TYPED)
    backtested(admin)
    with pytest.raises(DefaultBlocks):
        versions.save_document(admin, BLOCKING, dry.number)


@pytest.mark.usefixtures("allowed")
def test_it_goes_in_waves_even_without_a_plan_and_so_does_what_overtakes_it(admin: Any) -> None:
    RolloutPlan.objects.update(waves=[], pause_minutes=0)
    first = blocking_version(admin)
    overtaking = versions.save_document(admin, document("A", "B", default=BLOCK), first.number).version
    for number in (first.number, overtaking.number):
        rollout = Rollout.objects.get(version=number)
        assert (rollout.waves, rollout.waves_left) == (DEFAULT_BLOCK_WAVES, 2)
        assert rollout.pause_minutes == DEFAULT_BLOCK_PAUSE


@pytest.mark.usefixtures("allowed")
def test_it_follows_the_waves_of_a_plan(admin: Any) -> None:
    RolloutPlan.objects.update(waves=[{"percent": 5}], pause_minutes=60)
    rollout = Rollout.objects.get(version=blocking_version(admin).number)
    assert (rollout.waves, rollout.pause_minutes) == ([{"percent": 5}], 60)


@pytest.mark.usefixtures("allowed")
def test_once_all_sensors_have_it_later_versions_need_no_waves(admin: Any) -> None:
    first = blocking_version(admin)
    Rollout.objects.filter(version=first).update(waves_left=0)
    later = versions.save_document(admin, document("A", "B", default=BLOCK), first.number).version
    assert Rollout.objects.get(version=later).waves_left == 0


@pytest.mark.usefixtures("allowed")
def test_a_rollback_to_it_waits_for_nothing(admin: Any) -> None:
    first = blocking_version(admin)
    Rollout.objects.filter(version=first).update(waves_left=0)
    mistake = versions.save_document(admin, document("A"), first.number).version
    Rollout.objects.filter(version=mistake).update(waves_left=0)
    again = roll_back(admin, mistake.number)
    assert again.document == first.document
    assert Rollout.objects.get(version=again).waves_left == 0


@pytest.mark.usefixtures("allowed")
def test_sensors_that_do_not_know_it_are_listed_first(admin: Any) -> None:
    cluster = estate.cluster()
    estate.seen(estate.sensor(cluster, "new-node")[0], capabilities=["policy-default-blocks"])
    estate.seen(estate.sensor(cluster, "old-node")[0], capabilities=["ebpf"])
    backtested(admin)
    with pytest.raises(SensorsLack, match=r"does not know a default rule that blocks: prod/old-node\."):
        versions.save_document(admin, BLOCKING, 1, confirmation=TYPED)
    assert versions.save_document(admin, document("A", default=DRY), 1).is_new
    both = f"leave sensors behind, {TYPED}"
    backtested(admin)
    assert versions.save_document(admin, BLOCKING, latest_number() or 0, confirmation=both).is_new


@pytest.mark.usefixtures("allowed")
def test_with_a_second_approver_nobody_blocks_by_default_or_widens_it_alone(admin: Any, settings: Any) -> None:
    base = blocking_version(admin).number
    settings.SECOND_APPROVER = "blocking"
    for changed in (
        document("A", default={"action": "ignore"}),
        document("A", default=DRY),
        document(default=BLOCK),
        document("A", rules=[rule("A", enabled=False)], default=BLOCK),
        document("A", rules=[rule("A"), rule("B")], default=BLOCK),
        document("A", default=BLOCK, detect=["new_file"]),
    ):
        with pytest.raises(ApproverRequired):
            versions.save_document(admin, changed, base, confirmation=TYPED)
    described = document("A", rules=[rule("A", note="why")], default=BLOCK)
    assert versions.save_document(admin, described, base).is_new


def test_the_page_offers_it_only_where_the_setting_allows_it(editor: Client, admin: Any, settings: Any) -> None:
    panel = text(editor.get(f"{PAGE}rule/?rule=default"))
    assert panel.count("<option") == 2
    assert "Drift detection blocking" not in panel
    assert "Only record" not in panel
    refused = send(editor, admin, "default/", {"action": "block"})
    assert refused.status_code == 409
    assert "DEFAULT_RULE_MAY_BLOCK" in text(refused)
    settings.DEFAULT_RULE_MAY_BLOCK = True
    panel = text(editor.get(f"{PAGE}rule/?rule=default"))
    assert panel.count("<option") == 3
    assert len(re.findall(r'hx-get="[^"]*\?of=default%3A', panel)) == 1  # a user has one count at a time
    assert "Only record what would be blocked" in panel


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    ("posted", "stored", "cell"),
    [
        ({"action": "block"}, BLOCK, "Drift detection blocking"),
        ({"action": "block", "dry_run": "on"}, DRY, "Drift detection blocking (dry run)"),
        ({"action": "alert", "dry_run": "on"}, {"action": "alert"}, "Drift detection alert"),
    ],
)
def test_the_panel_sets_it(editor: Client, admin: Any, posted: dict[str, str], stored: Any, cell: str) -> None:
    page = text(send(editor, admin, "default/", posted))
    assert draft_state(admin).document["default"] == stored
    assert f"<td>{cell}</td>" in page
    assert ('id="default-blocks-note"' in page) is (stored == BLOCK)


@pytest.mark.usefixtures("allowed")
def test_save_on_the_page_leads_to_the_backtest_and_then_to_the_phrase(editor: Client, admin: Any) -> None:
    send(editor, admin, "default/", {"action": "block"})
    first = send(editor, admin, "save/", {})
    assert first.status_code == 409
    assert "Review and backtest the draft" in text(first)
    backtested(admin, draft_state(admin).document)
    second = send(editor, admin, "save/", {})
    assert second.status_code == 409
    assert f"Type <strong>{TYPED}</strong>" in text(second)
    assert send(editor, admin, "save/", {"confirmation": TYPED}).status_code == 200
    assert latest_version().document["default"] == BLOCK


@pytest.mark.usefixtures("allowed")
def test_the_panels_of_a_proposal_and_a_restore_ask_for_the_phrase(
    editor: Client, admin: Any, operator: Any, client_of: Any
) -> None:
    old = blocking_version(admin)
    versions.save_document(admin, document("A"), old.number)
    restoring = text(editor.get(f"{PAGE}versions/{old.number}/restore/"))
    assert f"Type <strong>{TYPED}</strong>" in restoring
    assert 'id="draft-backtest"' in restoring
    proposed = propose_draft(drafts.change_draft(draft_state(operator), edits.set_default_action("block")))[1]
    assert f"Type <strong>{TYPED}</strong>" in text(editor.get(f"{PAGE}proposals/{proposed.pk}/"))
    accepted = send(editor, admin, f"proposals/{proposed.pk}/accept/", {"base": latest_number(), "confirmation": TYPED})
    assert accepted.status_code == 409
    assert "a backtest must show what it would stop" in text(accepted)


@pytest.mark.usefixtures("allowed")
def test_the_api_names_each_condition_by_its_code(api_of: Any, admin: Any, settings: Any) -> None:
    api = api_of(admin)

    def save(**more: Any) -> tuple[int, str]:
        found = api.post(f"{API}versions/", {"base": 1, "document": BLOCKING, **more}, "application/json")
        return found.status_code, found.json().get("code", "")

    assert save() == (409, "backtest_missing")
    backtested(admin)
    assert save() == (409, "default_blocks")
    settings.DEFAULT_RULE_MAY_BLOCK = False
    assert save(confirmation=TYPED) == (409, "default_may_not_block")
    settings.DEFAULT_RULE_MAY_BLOCK = True
    assert save(confirmation=TYPED) == (201, "")


@pytest.mark.usefixtures("allowed")
def test_the_command_has_an_option_for_the_phrase(admin: Any, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(BLOCKING))

    def load(*more: str) -> None:
        call_command("policy", "import", "--base", "1", "--user", admin.email, *more, str(file))

    with pytest.raises(CommandError, match="a backtest must show"):
        load("--block-by-default")
    backtested(admin)
    with pytest.raises(CommandError, match="Or add --block-by-default"):
        load()
    load("--block-by-default")
    assert latest_version().document["default"] == BLOCK


@pytest.mark.usefixtures("allowed")
def test_changes_and_conflicts_of_it_are_told_by_field(admin: Any) -> None:
    from drift.policy.domain.rebase import rebase
    from drift.policy.views.change_lines import change_lines

    (line,) = change_lines(document("A"), document("A", default=DRY))
    assert line.sentence == "Drift that no rule above decides raises an alert, which records that it would be blocked."
    assert [(each.label, each.before, each.after) for each in line.fields] == [
        ("Action", "Ignore drift detection", "Drift detection blocking"),
        ("Only record what would be blocked", "no", "yes"),
    ]
    merged, clashes = rebase(document("A"), document("A", default=BLOCK), document("A", default={"action": "alert"}))
    assert merged["default"] == BLOCK
    assert len(clashes) == 1


def test_no_error_is_without_a_code() -> None:
    assert len({each.default_code for each in PolicyConflict.__subclasses__()}) == len(PolicyConflict.__subclasses__())
