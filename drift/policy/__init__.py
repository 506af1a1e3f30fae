"""The drift policy: its versions, drafts, page and API."""
