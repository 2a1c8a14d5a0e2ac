"""What staff fill in about providers: adding, importing, changing, classing. A key goes in and never comes out."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from accounts.admin_pages import AskForm
from accounts.errors import UserError
from catalog import adding, classing
from catalog.admin_dialect import DIALECT_CHOICES
from catalog.detecting import DETECT
from catalog.models import Provider, RefusalText


class AddForm(AskForm):
    """A provider to be added, once it has answered."""

    name = forms.CharField(label=_("Name"), max_length=80)
    api_url = forms.CharField(label=_("API address"), max_length=300, help_text=_("In full: https://…/api/v2"))
    key = forms.CharField(label=_("Our key there"), widget=forms.PasswordInput, max_length=300)
    currency = forms.CharField(
        label=_("Currency"), max_length=3, required=False, help_text=_("Empty: the one that the provider says.")
    )
    exchange_rate = forms.DecimalField(
        label=_("Exchange rate"),
        required=False,
        max_digits=20,
        decimal_places=10,
        help_text=_("What one unit of its currency costs in the panel's; needed when they differ."),
    )
    markup_percent = forms.DecimalField(
        label=_("Markup, percent"), required=False, max_digits=9, decimal_places=4, initial=20, min_value=0
    )
    dialect = forms.ChoiceField(
        label=_("Dialect"), choices=[(DETECT, _("Ask it and propose one")), *DIALECT_CHOICES], initial=DETECT
    )


class FoundForm(AskForm):
    """How a provider was found to speak; staff may know better."""

    dialect = forms.ChoiceField(label=_("Dialect"), choices=DIALECT_CHOICES)


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in stubs only
    """A provider's settings; its key goes in and never comes out."""

    api_url = forms.CharField(label=_("API address"), max_length=300, widget=UnfoldAdminTextInputWidget)
    key = forms.CharField(label=_("New key"), required=False, max_length=300, widget=UnfoldAdminPasswordWidget)
    rate_holds = forms.BooleanField(
        label=_("The exchange rate was looked up today"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=_("For a rate that has not changed: its days are counted from now on."),
    )

    class Meta:
        model = Provider
        exclude = ("dialect", "dialect_overrides")  # noqa: DJ006 - the admin's fieldsets name the fields

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "key" in self.fields:
            hint = self.instance.key_hint
            self.fields["key"].help_text = _("Leave empty to keep the present one, which ends in %s.") % (hint or "…")

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or self.cleaned_data
        if not self.errors:
            names = ("api_url", "connect_timeout", "read_timeout")
            changed = Provider(
                **{name: values[name] for name in names},
                dialect=self.instance.dialect,
                dialect_overrides=self.instance.dialect_overrides,
            )
            try:
                adding.check_connection(changed, values["key"] or "any")
            except UserError as error:
                self.add_error(error.field if error.field in self.fields else None, error.text)
        return values


class RefusalForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in stubs only
    """A provider's error text and what it means."""

    class Meta:
        model = RefusalText
        fields = ("provider", "text", "meaning")
        help_texts = {
            "text": _("As the provider writes it; case, spacing and a final period do not count."),
        }

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        try:
            classing.read_text(text)
        except UserError as error:
            raise ValidationError(error.text) from error
        return text
