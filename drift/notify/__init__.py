"""Notify users and programs: by email, by webhook, and on a page of each user's own."""
