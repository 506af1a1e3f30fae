"""The fleet's pages and their parts."""
