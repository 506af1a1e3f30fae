"""The fleet's pages and the fragments that other pages include."""
