"""How a provider speaks, as staff set it: a preset, and one field for each flag of it (PROTOCOL 10)."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.admin_pages import AskForm, ask, change_url
from accounts.errors import UserError
from catalog import adding
from catalog.models import Provider
from catalog.providers.dialects import CHOICES, DIALECTS, PERFECTPANEL, dialect

DIALECT_CHOICES = [(name, name) for name in DIALECTS]
# What is typed for an empty value where the preset has another: an empty field means the preset's.
EMPTY = "none"
YES, NO = "yes", "no"
LONGEST_WORD, LONGEST_MAP = 100, 20_000
Words = tuple[str | Promise, str | Promise]

# Each flag that something depends on, with what staff are told of it.
FLAGS: Mapping[str, Words] = {
    "encoding": (_("Parameters are sent as"), ""),
    "method": (_("Method"), _("Nearly all take POST.")),
    "key_in": (_("Where our key goes"), _("body:key, body:another name, header:Authorization or header:X-Api-Key.")),
    "batch_size": (_("Orders asked for in one call"), _("1: it knows no batches.")),
    "batch_action": (_("Action that asks for many orders"), ""),
    "status_id_param": (_("Parameter with an order's ID"), ""),
    "list_orders": (_("Action that lists our latest orders"), _("It helps to find out what became of unclear orders.")),
    "time_zone": (_("Time zone of its times"), _("For example Europe/Berlin, where it writes times without a zone.")),
    "idempotency_param": (
        _("Parameter that makes a second sending harmless"),
        _("Only when its documentation promises it: where that is wrong, an unclear order is bought twice."),
    ),
    "refill_multi": (_("What it answers to many refills"), ""),
    "refill_flag_map": (_("Refill flag of its services"), _("tri-state: 3 means off.")),
    "cancel": (_("Parameter of its cancel action"), _("none: it has no such action.")),
    "numeric_status_map": (_("Statuses that it writes as numbers"), _("A line for each, such as: 1 = Completed")),
    "expiry_format": (_("How it reads dates"), ""),
    "max_body_mb": (_("Longest list it may send, megabytes"), ""),
    "products": (_("It sells products"), ""),
    "result_product": (_("It hands over what was bought"), _("The action result_product.")),
}
# Noted for staff; nothing acts on these yet.
NOTED: Mapping[str, Words] = {
    "charge_semantics": (_("What its charge means"), ""),
    "currency": (_("Currency, whatever its balance says"), ""),
    "package_price": (_("A package's price is"), ""),
    "posts_zero": (_("A subscription for 0 posts"), ""),
    "fail_policy": (_("An order that fails"), ""),
    "type_overrides": (_("Types by other names"), _("A line for each, such as: Custom = Custom Comments")),
    "service_param_overrides": (_("Other parameters of a service"), _("A line for each, such as: 12 = comment")),
    "duplicate_link": (_("A second order for one link"), ""),
}


class LinesField(forms.CharField):
    """A map, written as lines of `name = value`."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name} = {word}" for name, word in value.items()) if isinstance(value, dict) else value

    def clean(self, value: Any) -> Any:
        """Return the map, or None for an empty field; raise ValidationError for a line that is no pair."""
        pairs = {}
        for line in filter(None, map(str.strip, (super().clean(value) or "").splitlines())):
            name, equals, word = line.partition("=")
            if not (equals and name.strip() and word.strip()):
                raise ValidationError(_("“%s” is not written as name = value.") % line)
            pairs[name.strip()] = word.strip()
        return pairs or None


class DialectForm(AskForm):
    """A preset and what differs from it; an empty field means the preset's."""

    dialect = forms.ChoiceField(label=_("Preset"), choices=DIALECT_CHOICES)

    def __init__(self, name: str, overrides: Mapping[str, Any], data: Any = None) -> None:
        preset = DIALECTS.get(name, PERFECTPANEL)
        super().__init__(data, initial={"dialect": name, **{flag: show_value(overrides[flag]) for flag in overrides}})
        for flag, words in {**FLAGS, **NOTED}.items():
            self.fields[flag] = make_field(flag, getattr(preset, flag), words)

    def read_overrides(self) -> dict[str, Any]:
        """Return the flags in which a valid form differs from its preset."""
        preset = DIALECTS[self.cleaned_data["dialect"]]
        given = {flag: self.cleaned_data[flag] for flag in (*FLAGS, *NOTED)}
        read = {flag: read_value(flag, value) for flag, value in given.items() if value is not None and value != ""}
        return {flag: value for flag, value in read.items() if value != getattr(preset, flag)}

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                dialect(values["dialect"], self.read_overrides())
            except ValueError as error:
                raise ValidationError(str(error)) from error
        return values

    @property
    def groups(self) -> list[tuple[str | Promise, list[forms.BoundField]]]:
        """The fields under their headings."""
        return [
            ("", [self["dialect"]]),
            (_("Flags"), [self[flag] for flag in FLAGS]),
            (_("Noted for later: nothing acts on these yet"), [self[flag] for flag in NOTED]),
        ]


def make_field(flag: str, preset: Any, words: Words) -> forms.Field:
    """Return the field of a flag; what the preset says stands in it for as long as nothing else is chosen."""
    label, help_text = words
    common: dict[str, Any] = {"label": label, "help_text": help_text, "required": False}
    if isinstance(preset, bool):
        return choose_from(YES if preset else NO, [(YES, _("Yes")), (NO, _("No"))], common)
    if flag in CHOICES:
        return choose_from(preset, [(word, word) for word in sorted(CHOICES[flag])], common)
    if isinstance(preset, int):
        common["help_text"] = add_preset(help_text, str(preset))
        return forms.IntegerField(min_value=1, widget=UnfoldAdminIntegerFieldWidget, **common)
    if isinstance(preset, Mapping):
        return LinesField(max_length=LONGEST_MAP, widget=UnfoldAdminTextareaWidget({"rows": 3}), **common)
    common["help_text"] = add_preset(help_text, preset or EMPTY)
    return forms.CharField(max_length=LONGEST_WORD, widget=UnfoldAdminTextInputWidget, **common)


def choose_from(preset: str, choices: list[tuple[str, str | Promise]], common: dict[str, Any]) -> forms.ChoiceField:
    """Return the field of a flag with so many values, the preset's first."""
    listed = [("", _("As the preset: %s") % preset), *choices]
    return forms.ChoiceField(choices=listed, widget=UnfoldAdminSelectWidget, **common)


def add_preset(help_text: str | Promise, preset: str) -> str:
    """Say beside a field what is meant when it is left empty."""
    return f"{help_text} {_('Empty, as the preset: %s.') % preset}".strip()


def show_value(value: Any) -> Any:
    """Return what stands in a field for a flag's value."""
    if isinstance(value, bool):
        return YES if value else NO
    return EMPTY if value == "" else value


def read_value(flag: str, value: Any) -> Any:
    """Return the value of a flag for what stands in its field."""
    preset = getattr(PERFECTPANEL, flag)
    if isinstance(preset, bool):
        return value == YES
    return "" if value == EMPTY and flag not in CHOICES and isinstance(preset, str) else value


def ask_dialect(page: ModelAdmin, request: HttpRequest, provider: Provider) -> HttpResponse:
    """Ask how a provider speaks and write it; on `detect`, ask the provider first and propose what was found."""
    name, overrides = provider.dialect, provider.dialect_overrides
    findings: list[str] = []
    if "detect" in request.POST:
        try:
            found = adding.detect_again(provider)
        except UserError as error:
            messages.error(request, error.text)
        else:
            name, overrides, findings = found.dialect, found.overrides, found.findings
        form = DialectForm(name, overrides)
    else:
        form = DialectForm(name, overrides, request.POST or None)
    if form.is_valid():
        provider.dialect, provider.dialect_overrides = form.cleaned_data["dialect"], form.read_overrides()
        provider.save(update_fields=["dialect", "dialect_overrides"])
        page.log_change(request, provider, f"Speaks {provider.dialect} {provider.dialect_overrides or ''}".strip())
        messages.success(request, _("Saved. Test the connection now."))
        return redirect(change_url(provider))
    return ask(
        page,
        request,
        form,
        subject=provider,
        title=_("How %s speaks") % provider,
        explanation=_("A preset fits most providers. Change a flag only where its documentation says otherwise."),
        findings=findings,
        submit=_("Save"),
        second=("detect", _("Ask it and propose")),
    )
