"""PostgreSQL and Valkey from wheels, for a start without any installed server. Must not import Django."""
