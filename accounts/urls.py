"""Sign-in, users, tokens and the audit log."""

from __future__ import annotations

from django.urls import path

from accounts.views import (
    audit,
    confirm,
    email_verification,
    issuer,
    links,
    password_reset,
    scopes,
    second_factor,
    sessions,
    sign_in,
    tokens,
    users,
)

app_name = "accounts"
urlpatterns = [
    path("sign-out/", sign_in.SignOut.as_view(), name="sign-out"),
    path("password/", sign_in.password, name="password"),
    path("password/forgotten/", password_reset.forgotten, name="password-forgotten"),
    path("email/verify/", email_verification.email_send, name="email-send"),
    path("email/verify/<str:token>/", email_verification.email_verify, name="email-verify"),
    path("confirm/", confirm.confirm, name="confirm"),
    path("sign-in/issuer/", issuer.sign_in, name="issuer"),
    path("sign-in/issuer/callback/", issuer.callback, name="issuer-callback"),
    path("confirm/issuer/", issuer.confirm, name="issuer-confirm"),
    path("second-factor/issuer/", issuer.link, name="issuer-link"),
    path("confirm/passkey/", confirm.passkey_challenge, name="confirm-passkey"),
    path("tokens/", tokens.api_tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke/", tokens.token_revoke, name="token-revoke"),
    path("users/", users.users, name="users"),
    path("users/<int:user_id>/", users.user, name="user"),
    path("users/<int:user_id>/second-factor/reset/", second_factor.reset, name="second-factor-reset"),
    path("users/service-accounts/", users.service_account_add, name="service-account-add"),
    path("users/<int:user_id>/link/", users.user_link, name="user-link"),
    path("users/<int:user_id>/link/revoke/", users.user_link_revoke, name="user-link-revoke"),
    path("users/<int:user_id>/email/", email_verification.user_email_send, name="user-email-send"),
    path("users/<int:user_id>/end/", users.user_end, name="user-end"),
    path("users/<int:user_id>/tokens/", users.user_token_add, name="user-token-add"),
    path("link/", links.link_password, name="link-password"),
    path("link/<str:token>/", links.link, name="link"),
    path("session/", sessions.session, name="session"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/end/", sessions.sessions_end, name="sessions-end"),
    path("sessions/<int:session_id>/end/", sessions.session_end, name="session-end"),
    path("users/<int:user_id>/scope/", scopes.user_scope, name="user-scope"),
    path("users/<int:user_id>/scope/parts/", scopes.user_part_add, name="user-part-add"),
    path("scopes/", scopes.scopes, name="scopes"),
    path("scopes/groups/<int:group_id>/", scopes.scope_group, name="scope-group"),
    path("scopes/groups/<int:group_id>/parts/", scopes.group_part_add, name="group-part-add"),
    path("scopes/groups/<int:group_id>/delete/", scopes.scope_group_delete, name="scope-group-delete"),
    path("tokens/<int:token_id>/scope/", scopes.token_scope, name="token-scope"),
    path("tokens/parts/<int:entry_id>/remove/", scopes.token_part_remove, name="token-part-remove"),
    path("scopes/parts/<int:entry_id>/remove/", scopes.part_remove, name="scope-part-remove"),
    path("audit/", audit.audit_log, name="audit"),
    path("audit/export.csv", audit.export_csv, name="audit-csv"),
    path("audit/export.jsonl", audit.export_json, name="audit-json"),
]
