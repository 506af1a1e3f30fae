"""Telling people and programs what happened: by mail, by webhook, and on a page of their own."""
