"""Fallback capture: fanotify for files that are opened to be executed, the process connector for the rest."""
