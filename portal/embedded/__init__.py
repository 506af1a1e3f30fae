"""PostgreSQL and Valkey from wheels, for a start without any installed server. No Django here."""
