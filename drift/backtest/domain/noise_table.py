"""A noise budget's result as plain text, for the command line."""

from __future__ import annotations

from drift.backtest.domain.noise_result import NoiseResult
from sensor.names.visible_text import visible_text


def noise_table(result: NoiseResult, version: str) -> str:
    """Return the result as lines; `version` names the policy that it is for."""
    days = result["days"] or 1
    before, after = sum(result["before"]) / days, sum(result["after"]) / days
    most = f"{max(result['before'], default=0):,} → {max(result['after'], default=0):,} at most"
    kept = f"kept on {result['kept_days']} of {days} days"
    lines = [
        f"{days} days from {result['first_day']}, under {version}",
        f"Alerts a day: {before:.1f} → {after:.1f} on average, {most}; {kept}",
        f"{len(result['changes'])} changes; at least {result['at_least']} of {result['considered']} rules are needed",
    ]
    for number, change in enumerate(result["changes"], 1):
        hides = change["hides"]
        hidden = f"hides {hides['contents']:,} contents in {hides['workloads']:,} workloads"
        lines += ["", f"{number}. {change['rule']['name']}", f"   {change['sentence']}"]
        lines.append(f"   removes {change['alerts']:,} alerts of a day; {hidden}")
    if result["refused"]:
        lines += ["", "Refused, in alerts of a day"]
        lines += [f"{each['alerts']:>10,}  {each['label']}" for each in result["refused"]]
    return "\n".join(visible_text(line) for line in lines)
