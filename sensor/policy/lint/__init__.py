"""Lint: values that can hardly match, or never, each with what was probably meant (docs/policy-semantics.md#lint).

A document with findings is valid: sensors apply it. Pure, as all of `sensor.policy`: sensor, panel, list, review,
import, API and command line share it.
"""

from sensor.policy.lint.findings import LintFinding, Suggestion
from sensor.policy.lint.rules import lint, lint_rule
from sensor.policy.lint.suggestions import take_suggestion

__all__ = ["LintFinding", "Suggestion", "lint", "lint_rule", "take_suggestion"]
