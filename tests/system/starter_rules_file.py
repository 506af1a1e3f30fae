"""Write the starter pack's rules to a file, by key, enabled: for a machine that has no portal.

python -m tests.system.starter_rules_file FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from drift.policy.domain.starter_rules import starter_rules


def main() -> None:
    rules = {each.key: {**each.rule, "enabled": True} for each in starter_rules()}
    Path(sys.argv[1]).write_text(json.dumps(rules))


if __name__ == "__main__":
    main()
