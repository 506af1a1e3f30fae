"""The pages on which Owners decide who sees which part of the estate."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.actions import scopes as actions
from accounts.errors import ScopeRefused
from accounts.forms.scopes import GroupForm, NewGroupForm, PartForm, UserScopeForm
from accounts.models import ScopeEntry, ScopeGroup, User
from accounts.queries import scopes as queries
from accounts.queries.tokens import narrowable_tokens
from accounts.views.requests import UNPROCESSABLE, signed_in_user


def scopes(request: HttpRequest) -> HttpResponse:
    """List the groups, and the users with a scope; POST adds a group."""
    form = NewGroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            group = actions.create_group(signed_in_user(request), form.cleaned_data["name"])
        except ScopeRefused as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"Group {group.name} created. Add its members and its parts of the estate.")
            return redirect("accounts:scope-group", group.pk)
    context = {"form": form, "groups": queries.groups(), "people": queries.scoped_users()}
    return render(request, "accounts/scopes.html", context, status=UNPROCESSABLE if form.errors else 200)


def user_scope(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show what a user sees; POST limits them to their scope or not, and sets their groups."""
    person = get_object_or_404(User, pk=user_id)
    form = _scope_form(person, request)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            actions.limit_user(
                signed_in_user(request), person.pk, is_scoped=bool(data["is_scoped"]), groups=data["groups"]
            )
        except ScopeRefused as error:
            form.add_error("is_scoped", str(error))
        else:
            messages.success(request, f"Scope of {person.email} changed.")
            return redirect("accounts:user-scope", person.pk)
    context = {"person": person, "form": form, "sees_nothing": person.is_scoped and _sees_nothing(person)}
    return _holder_page(request, "accounts/user_scope.html", person, context, PartForm(signed_in_user(request)))


def _sees_nothing(person: User) -> bool:
    return not person.sees_whole_estate and all(part.is_empty for part in person.scope.parts)


def scope_group(request: HttpRequest, group_id: int) -> HttpResponse:
    """Show a group; POST changes its name, its members, and whether they see the whole estate."""
    group = get_object_or_404(ScopeGroup, pk=group_id)
    form = _scope_form(group, request)
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_group(signed_in_user(request), group.pk, **form.cleaned_data)
        except ScopeRefused as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"Group {form.cleaned_data['name']} changed.")
            return redirect("accounts:scope-group", group.pk)
    return _holder_page(
        request, "accounts/scope_group.html", group, {"group": group, "form": form}, PartForm(signed_in_user(request))
    )


def scope_group_delete(request: HttpRequest, group_id: int) -> HttpResponse:
    """Delete a group."""
    get_object_or_404(ScopeGroup, pk=group_id)
    group = actions.delete_group(signed_in_user(request), group_id)
    messages.success(request, f"Group {group.name} deleted. Its members no longer see what only it gave them.")
    return redirect("accounts:scopes")


def user_part_add(request: HttpRequest, user_id: int) -> HttpResponse:
    """Give a user a part of the estate."""
    return _part_add(request, get_object_or_404(User, pk=user_id))


def group_part_add(request: HttpRequest, group_id: int) -> HttpResponse:
    """Give a group a part of the estate."""
    return _part_add(request, get_object_or_404(ScopeGroup, pk=group_id))


def _part_add(request: HttpRequest, holder: User | ScopeGroup) -> HttpResponse:
    form = PartForm(signed_in_user(request), request.POST)
    if form.is_valid():
        try:
            entry = actions.add_part(signed_in_user(request), holder, form.entry())
        except ScopeRefused as error:
            form.add_error("place", str(error))
        else:
            messages.success(request, f"{holder} now sees {entry}.")
            return redirect(_scope_page_url(holder))
    template, name = ("user_scope", "person") if isinstance(holder, User) else ("scope_group", "group")
    context = {name: holder, "form": _scope_form(holder)}
    return _holder_page(request, f"accounts/{template}.html", holder, context, form)


def _scope_form(holder: User | ScopeGroup, request: HttpRequest | None = None) -> UserScopeForm | GroupForm:
    """Return the form of a user's or group's page, as sent or as it is now."""
    sent = request.POST if request and request.method == "POST" else None
    if isinstance(holder, User):
        given: dict[str, Any] = {"is_scoped": "yes" if holder.is_scoped else "", "groups": holder.scope_groups.all()}
        return UserScopeForm(sent, initial=given)
    given = {"name": holder.name, "whole_estate": holder.whole_estate, "members": holder.members.all()}
    return GroupForm(sent, initial=given)


def part_remove(request: HttpRequest, entry_id: int) -> HttpResponse:
    """Take a part from the user or group that has it."""
    entry = get_object_or_404(ScopeEntry, pk=entry_id, token=None)
    name = str(entry)
    holder = actions.remove_part(signed_in_user(request), entry_id)
    messages.success(request, f"{holder} no longer sees {name} by this part.")
    return redirect(_scope_page_url(holder))


def _scope_page_url(holder: User | ScopeGroup) -> str:
    name = "accounts:user-scope" if isinstance(holder, User) else "accounts:scope-group"
    return reverse(name, args=[holder.pk])


def _holder_page(
    request: HttpRequest, template: str, holder: User | ScopeGroup, context: dict[str, Any], part_form: PartForm
) -> HttpResponse:
    invalid = context["form"].errors or part_form.errors
    context |= {"parts": queries.parts_of(holder), "part_form": part_form}
    return render(request, template, context, status=UNPROCESSABLE if invalid else 200)


def token_scope(request: HttpRequest, token_id: int) -> HttpResponse:
    """Show what a token is limited to; POST adds a part, and limits the token by that."""
    user = signed_in_user(request)
    token = get_object_or_404(narrowable_tokens(user), pk=token_id)
    form = PartForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            entry = actions.narrow_token(user, token, form.entry())
        except ScopeRefused as error:
            form.add_error("place", str(error))
        else:
            whose = "you see" if token.user == user else f"{token.user} sees"
            messages.success(request, f"{token.name} sees {entry} of what {whose}, and nothing but its parts.")
            return redirect("accounts:token-scope", token.pk)
    context = {"token": token, "parts": queries.parts_of_token(token), "part_form": form}
    return render(request, "accounts/token_scope.html", context, status=UNPROCESSABLE if form.errors else 200)


def token_part_remove(request: HttpRequest, entry_id: int) -> HttpResponse:
    """Take a part from a token."""
    user = signed_in_user(request)
    entry = get_object_or_404(ScopeEntry, pk=entry_id, token__in=narrowable_tokens(user))
    actions.take_from_token(user, entry)
    messages.success(request, "The token no longer sees this part.")
    return redirect("accounts:token-scope", entry.token_id)
