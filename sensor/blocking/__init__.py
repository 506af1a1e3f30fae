"""Blocking: stop drift before it runs, in the kernel alone or while its exec is held (docs/blocking.md)."""
