"""Stops drift that the policy blocks before it runs: in the kernel where only its being drift counts, else held."""
