import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import api_keys
from accounts.api_keys import KeyTerms
from accounts.errors import UserError
from accounts.models import ApiKey

DAY = datetime.timedelta(days=1)


class KeyForm(forms.Form):
    """What a key is called and may do; the key itself is made by accounts/api_keys.py."""

    name = forms.CharField(label=gettext_lazy("What is it for?"), max_length=60, required=False)
    reads_only = forms.BooleanField(
        label=gettext_lazy("Only read"),
        help_text=gettext_lazy("It may look, but not order, refill or cancel."),
        required=False,
    )
    networks = forms.CharField(
        label=gettext_lazy("Addresses that may use it"),
        help_text=gettext_lazy(
            "One address or network on each line, such as 203.0.113.7 or 2001:db8::/32; empty: any."
        ),
        max_length=5000,
        required=False,
        widget=forms.Textarea({"rows": 3}),
    )
    daily_cap = forms.DecimalField(
        label=gettext_lazy("Most it may spend in a day"),
        help_text=gettext_lazy("Days are counted in UTC, and what comes back does not count; empty: no limit."),
        min_value=0,
        max_digits=20,
        decimal_places=5,
        required=False,
        widget=forms.NumberInput({"step": "any"}),
    )
    last_day = forms.DateField(
        label=gettext_lazy("Last day"),
        help_text=gettext_lazy("It is refused from the next day on; empty: it works until you revoke it."),
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )
    style = forms.ChoiceField(
        label=gettext_lazy("Answers to many refills"),
        help_text=gettext_lazy(
            "The API documents of this field differ here; choose what your program was written for."
        ),
        choices=ApiKey.Style.choices,
        required=False,
    )

    def clean_networks(self) -> list[str]:
        try:
            return api_keys.parse_networks(self.cleaned_data["networks"])
        except UserError as error:
            raise forms.ValidationError(_(error.text)) from error

    def clean_daily_cap(self) -> Any:
        cap = self.cleaned_data["daily_cap"]
        if cap == 0:
            raise forms.ValidationError(_("A key that may spend nothing is one that only reads."))
        return cap

    def clean_last_day(self) -> datetime.date | None:
        day: datetime.date | None = self.cleaned_data["last_day"]
        if day is not None and not timezone.localdate() <= day < datetime.date.max:
            raise forms.ValidationError(_("This day is over."))
        return day

    def terms(self) -> KeyTerms:
        """Return what the key may do, once the form is valid."""
        said = self.cleaned_data
        return KeyTerms(
            may_order=not said["reads_only"],
            style=said["style"] or ApiKey.Style.LIST,
            networks=tuple(said["networks"]),
            daily_cap=said["daily_cap"],
            expires_at=_end(said["last_day"]) if said["last_day"] else None,
        )


class NewKeyForm(KeyForm):
    """A key that is to be made; whether it is for tests is said once and for all."""

    is_test = forms.BooleanField(
        label=gettext_lazy("Test key"),
        help_text=gettext_lazy("Its orders cost nothing and are sent to nobody: they move by the clock alone."),
        required=False,
    )


def describe(key: ApiKey) -> dict[str, object]:
    """Return a key as the form shows it."""
    return {
        "name": key.name,
        "reads_only": not key.may_order,
        "networks": "\n".join(key.networks),
        "daily_cap": key.daily_cap and key.daily_cap.normalize(),
        "last_day": api_keys.last_day(key),
        "style": key.style,
    }


def _end(day: datetime.date) -> datetime.datetime:
    return timezone.make_aware(datetime.datetime.combine(day + DAY, datetime.time.min))
