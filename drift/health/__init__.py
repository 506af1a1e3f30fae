"""The health of fleet and portal: the written list of conditions, and what of them holds now."""
