"""Customers and staff: who they are, what they may do, what they have, and correcting it with a reason."""

import uuid
from decimal import Decimal
from typing import Any

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import DataError, IntegrityError
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import api_keys, ledger
from accounts.admin_pages import (
    LINK,
    AskForm,
    Button,
    PanelAdmin,
    ReadOnlyInline,
    StaffRequest,
    amount,
    ask,
    change_url,
    column,
)
from accounts.errors import NotEnoughFundsError
from accounts.models import ApiKey, CustomerGroup, LedgerAccount, User

# With these, someone who may edit customers could make himself anything.
POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")


class CreditForm(AskForm):
    """An amount and why; shown twice, since what is booked cannot be taken back but by another booking."""

    amount = forms.DecimalField(
        label=_("Amount"),
        max_digits=20,
        decimal_places=5,
        help_text=_("Negative debits; the balance never goes below zero."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=200, help_text=_("The customer reads it in his statement."))
    token = forms.UUIDField(widget=forms.HiddenInput)
    previewed = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean_amount(self) -> Decimal:
        amount: Decimal = self.cleaned_data["amount"]
        if not amount:
            raise forms.ValidationError(_("An amount of 0 moves nothing."))
        return amount


class ApiKeyInline(ReadOnlyInline):
    """A user's keys by how they begin, and what they may do; the digest is never shown."""

    model = ApiKey
    fields = (
        "prefix",
        "name",
        "may",
        "daily_cap",
        "created_at",
        "expires_at",
        "last_used_at",
        "last_address",
        "revoked",
    )
    readonly_fields = fields
    may_revoke = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        # An inline is made anew for each request, so it may remember who asks.
        self.may_revoke = request.user.has_perm("accounts.change_apikey")
        keys: QuerySet[ApiKey] = super().get_queryset(request)
        return keys

    @column(_("may"))
    def may(self, key: ApiKey) -> str:
        does = _("order") if key.may_order else _("only read")
        kind = [_("test key")] if key.is_test else []
        return ", ".join(map(str, [does, *kind, *key.networks]))

    @column(_("revoked"))
    def revoked(self, key: ApiKey) -> Any:
        if key.revoked_at or not self.may_revoke:
            return key.revoked_at
        url = reverse("admin:accounts_user_revoke", args=[key.user_id, key.pk])
        button = '<button type="submit" class="{}" formaction="{}" formnovalidate>{}</button>'
        return format_html(button, LINK, url, _("Revoke"))


class UserAdmin(BaseUserAdmin, PanelAdmin):  # type: ignore[misc,type-arg]  # unfold's own recipe; generic in stubs only
    """Users, their balances and keys; only a superuser may change powers, or other superusers."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "username", "balance", "discount_percent", "group", "is_active", "is_staff", "date_joined")
    list_filter = ("is_active", "is_staff", "is_superuser", "group")
    list_select_related = ("group",)
    search_fields = ("email", "username")
    ordering = ("-id",)
    readonly_fields = ("balance", "last_login", "date_joined")
    filter_horizontal = ()
    autocomplete_fields = ("groups", "group")
    inlines = (ApiKeyInline,)
    fieldsets = (
        (None, {"fields": ("email", "username", "password", "is_active")}),
        (_("Money"), {"fields": ("balance", "discount_percent", "group")}),
        (_("Powers"), {"fields": POWERS, "classes": ("collapse",)}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "username", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        own = LedgerAccount.objects.filter(user=OuterRef("pk"), kind=LedgerAccount.Kind.CUSTOMER)
        users: QuerySet[User] = super().get_queryset(request)
        return users.annotate(cached_balance=Subquery(own.values("balance")[:1]))

    @column(_("balance"), ordering="cached_balance")
    def balance(self, user: User) -> str:
        return amount(getattr(user, "cached_balance", None) or Decimal(0))

    def get_readonly_fields(self, request: HttpRequest, _obj: User | None = None) -> tuple[str, ...]:
        return self.readonly_fields if request.user.is_superuser else (*self.readonly_fields, *POWERS)

    def get_inlines(self, _request: HttpRequest, obj: User | None) -> tuple[type[ReadOnlyInline], ...]:
        return self.inlines if obj is not None else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, User) and (obj.is_staff or obj.is_superuser) and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Nobody is deleted: the books name him. Make him inactive instead."""
        return False

    def list_buttons(self, request: StaffRequest, row: User) -> list[Button]:
        buttons = []
        if request.user.has_perm("accounts.add_transfer"):
            url = reverse("admin:accounts_user_credit", args=[row.pk])
            buttons.append(Button(_("Credit or debit"), url, "account_balance_wallet"))
        if request.user.has_perm("catalog.view_service"):
            url = f"{reverse('admin:catalog_service_changelist')}?customer={row.pk}"
            buttons.append(Button(_("Rates of this customer"), url, "sell"))
        return buttons

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(require_POST(self.revoke_key))
        return [
            path("<int:user_id>/keys/<int:key_id>/revoke/", revoke, name="accounts_user_revoke"),
            path("<int:user_id>/credit/", self.admin_site.admin_view(self.credit), name="accounts_user_credit"),
            *super().get_urls(),
        ]

    def revoke_key(self, request: StaffRequest, user_id: int, key_id: int) -> HttpResponse:
        """Revoke one of a user's keys."""
        if not request.user.has_perm("accounts.change_apikey"):
            raise PermissionDenied
        user = get_object_or_404(User, pk=user_id)
        if api_keys.revoke_key(user_id, key_id):
            self.log_change(request, user, f"Revoked API key {key_id}")
            messages.success(request, _("The key is revoked."))
        else:
            messages.warning(request, _("That key was revoked before."))
        return redirect(change_url(user))

    def credit(self, request: StaffRequest, user_id: int) -> HttpResponse:
        """Ask for an amount and a reason, show what it would do, and book it."""
        if not request.user.has_perm("accounts.add_transfer"):
            raise PermissionDenied
        user = get_object_or_404(User, pk=user_id)
        balance = ledger.read_balance(user.pk)
        form = CreditForm(request.POST or None, initial={"token": uuid.uuid4()})
        if form.is_valid():
            after = balance + form.cleaned_data["amount"]
            if form.cleaned_data["previewed"] == str(form.cleaned_data["amount"]):
                return self.book(request, user, form)
            if after < 0:
                form.add_error("amount", _("The balance would go below zero."))
            else:
                return self.preview(request, user, form)
        facts = [(_("Customer"), user.email), (_("Balance"), amount(balance))]
        words: dict[str, Any] = {"title": _("Credit or debit"), "submit": _("Go on"), "facts": facts}
        return ask(self, request, form, subject=user, **words)

    def preview(self, request: StaffRequest, user: User, form: CreditForm) -> HttpResponse:
        """Show the balance before and after, with the same form ready to be confirmed."""
        balance, change = ledger.read_balance(user.pk), form.cleaned_data["amount"]
        facts = [
            (_("Customer"), user.email),
            (_("Balance now"), amount(balance)),
            (_("Balance after"), amount(balance + change)),
        ]
        confirmed = CreditForm({**form.cleaned_data, "previewed": str(change)})
        words: dict[str, Any] = {"title": _("Book this?"), "submit": _("Book %s") % amount(change), "facts": facts}
        return ask(self, request, confirmed, subject=user, **words)

    def book(self, request: StaffRequest, user: User, form: CreditForm) -> HttpResponse:
        """Book a correction, once for each page that was shown."""
        change, reason = form.cleaned_data["amount"], form.cleaned_data["reason"]
        reference = f"credit:{form.cleaned_data['token']}"
        try:
            balance = ledger.adjust(user.pk, change, reference=reference, note=reason, actor_id=request.user.pk)
        except NotEnoughFundsError:
            messages.error(request, _("The balance has fallen meanwhile; nothing was booked."))
        except IntegrityError:
            messages.warning(request, _("That was booked already."))
        except DataError:
            messages.error(request, _("The balance would leave the ledger's range; nothing was booked."))
        else:
            self.log_change(request, user, f"Booked {change}: {reason}")
            told = {"before": amount(balance - change), "after": amount(balance)}
            messages.success(request, _("Booked: the balance was %(before)s and is %(after)s.") % told)
        return redirect(change_url(user))


@admin.register(CustomerGroup)
class CustomerGroupAdmin(PanelAdmin):
    """Customers who share a discount, and how many they are."""

    list_display = ("name", "discount_percent", "users")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CustomerGroup]:
        groups: QuerySet[CustomerGroup] = super().get_queryset(request)
        return groups.annotate(members=Count("users"))

    @column(_("users"), ordering="members")
    def users(self, group: CustomerGroup) -> str:
        url = f"{reverse('admin:accounts_user_changelist')}?group__id__exact={group.pk}"
        return format_html('<a href="{}" class="{}">{}</a>', url, LINK, getattr(group, "members", 0))


class GroupAdmin(BaseGroupAdmin, PanelAdmin):  # type: ignore[misc]  # unfold's own recipe
    """Roles: what their members may do."""


admin.site.register(User, UserAdmin)
admin.site.unregister(Group)
admin.site.register(Group, GroupAdmin)
# Verified addresses are the sign-in pages' affair.
admin.site.unregister(EmailAddress)
