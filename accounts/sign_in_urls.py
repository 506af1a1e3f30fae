"""URLs of django-allauth that we keep, under its own names: its code reverses them. All its others do not exist."""

from __future__ import annotations

from django.urls import path

from accounts.views import second_factor, sign_in

urlpatterns = [
    path("sign-in/", sign_in.SignIn.as_view(), name="account_login"),
    path("sign-in/second-factor/", second_factor.SecondStep.as_view(), name="mfa_authenticate"),
    path("sign-in/passkey/", second_factor.PasskeySignIn.as_view(), name="mfa_login_webauthn"),
    path("second-factor/", second_factor.Overview.as_view(), name="mfa_index"),
    path("second-factor/app/add/", second_factor.AddApp.as_view(), name="mfa_activate_totp"),
    path("second-factor/app/remove/", second_factor.RemoveApp.as_view(), name="mfa_deactivate_totp"),
    path("second-factor/passkeys/add/", second_factor.AddPasskey.as_view(), name="mfa_add_webauthn"),
    path("second-factor/passkeys/<int:pk>/rename/", second_factor.RenamePasskey.as_view(), name="mfa_edit_webauthn"),
    path("second-factor/passkeys/<int:pk>/remove/", second_factor.RemovePasskey.as_view(), name="mfa_remove_webauthn"),
    path("second-factor/recovery-codes/", second_factor.RecoveryCodes.as_view(), name="mfa_view_recovery_codes"),
    path(
        "second-factor/recovery-codes/new/",
        second_factor.NewRecoveryCodes.as_view(),
        name="mfa_generate_recovery_codes",
    ),
]
