"""The fleet's API: what sensors call, and what people do."""
