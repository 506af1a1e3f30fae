"""What the fleet's pages and API look up: a constant number of queries each, for one viewer."""
