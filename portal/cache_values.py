"""How values are stored in the cache: as JSON."""

from __future__ import annotations

import json


class JsonValues:
    """Replaces Django's pickles, which run code when they are read: whoever writes in Redis could choose it."""

    def dumps(self, value: object) -> int | bytes:
        """Return the stored form; integers as they are, so that Redis can add to them."""
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, stored: bytes) -> object:
        """Return the value. Raises ValueError if it is not JSON."""
        return json.loads(stored)
