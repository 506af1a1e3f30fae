"""Sign-in, users, tokens and the audit log."""

from __future__ import annotations

from django.urls import path

from accounts.views import audit, confirm, second_factor, sessions, sign_in, tokens, users

app_name = "accounts"
urlpatterns = [
    path("sign-out/", sign_in.SignOut.as_view(), name="sign-out"),
    path("password/", sign_in.password, name="password"),
    path("confirm/", confirm.confirm, name="confirm"),
    path("confirm/passkey/", confirm.passkey_challenge, name="confirm-passkey"),
    path("tokens/", tokens.api_tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke/", tokens.token_revoke, name="token-revoke"),
    path("users/", users.users, name="users"),
    path("users/<int:user_id>/", users.user, name="user"),
    path("users/<int:user_id>/second-factor/reset/", second_factor.reset, name="second-factor-reset"),
    path("session/", sessions.session, name="session"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/end/", sessions.sessions_end, name="sessions-end"),
    path("sessions/<int:session_id>/end/", sessions.session_end, name="session-end"),
    path("audit/", audit.audit_log, name="audit"),
]
