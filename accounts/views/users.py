"""The pages on which Owners manage users."""

from __future__ import annotations

from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.actions.users import change_user, create_user
from accounts.errors import LastOwnerError
from accounts.forms.users import NewUserForm, UserForm
from accounts.models import User
from accounts.queries.second_factor import users_with_second_factor
from accounts.roles import Role
from accounts.views.requests import UNPROCESSABLE, signed_in_user


def users(request: HttpRequest) -> HttpResponse:
    """List the users; POST adds one, whose one-time password is shown in this response only."""
    form = NewUserForm(request.POST or None)
    added: tuple[User, str] | None = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            added = create_user(
                signed_in_user(request), email=data["email"], name=data["name"], role=Role(data["role"])
            )
            form = NewUserForm()
        except IntegrityError:
            form.add_error("email", "A user with this email already exists.")
    context = {
        "form": form,
        "added": added,
        "people": User.objects.order_by("email"),
        "roles": Role.choices,
        "with_second_factor": users_with_second_factor(),
    }
    return render(request, "accounts/users.html", context, status=UNPROCESSABLE if form.errors else 200)


def user(request: HttpRequest, user_id: int) -> HttpResponse:
    """Change a user's role, or deactivate the account."""
    person = get_object_or_404(User, pk=user_id)
    form = UserForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return redirect("accounts:users")
    data = form.cleaned_data
    try:
        change_user(signed_in_user(request), person.pk, role=Role(data["role"]), is_active=data["is_active"])
    except LastOwnerError:
        messages.error(request, "At least one active Owner is required. Make another user Owner first.")
    else:
        messages.success(request, f"{person.email} changed.")
    return redirect("accounts:users")
