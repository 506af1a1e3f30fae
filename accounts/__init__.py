"""Users, roles, what each may see, sign-in, tokens and the audit log."""
