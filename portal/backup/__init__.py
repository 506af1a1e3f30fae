"""Backups: the database in one file, signed under SECRET_KEY, encrypted if wanted."""
