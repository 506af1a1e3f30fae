"""The alerts that chosen incidents stand for: those that the page showed, if nobody has changed them since."""

from __future__ import annotations

from collections.abc import Sequence

from accounts.models import User
from drift.alerts.domain.filters import Filters
from drift.alerts.domain.selection_tokens import alerts_digest, read_token
from drift.alerts.errors import ChangeConflict
from drift.alerts.queries.alert_list import matching_alerts
from drift.alerts.queries.incident_list import alert_states


def with_alerts_of_incidents(user: User, chosen: Sequence[str], filters: Filters) -> list[str]:
    """Return the choices (`ID:REVISION`) with those of its alerts in place of each incident's token.

    `filters`: those of the page. An alert that joined its incident later is left out: nobody has seen it. Raises
    ChangeConflict where an alert has changed since.
    """
    tokens = {choice: token for choice in chosen if (token := read_token(choice)) is not None}
    if not tokens:
        return list(chosen)
    states = alert_states(
        matching_alerts(user, filters),
        (token.incident for token in tokens.values()),
        up_to={token.incident: token.newest for token in tokens.values()},
    )
    expanded: list[str] = []
    for choice in chosen:
        if choice not in tokens:
            expanded.append(choice)
            continue
        token = tokens[choice]
        alerts = states.get(token.incident, [])
        if alerts_digest(alerts) != token.digest:
            raise ChangeConflict(
                f"Nothing was changed: alerts of incident {token.incident} have changed since this page was loaded. "
                "Check the incident, and choose it again."
            )
        expanded += [f"{each.pk}:{each.revision}" for each in alerts]
    return list(dict.fromkeys(expanded))
