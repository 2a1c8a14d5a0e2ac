"""What the admin pages of all apps share: rows that nobody edits, buttons, pages that ask first, and figures."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, TypeVar, cast

from django import forms
from django.db.models import DecimalField, Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.overrides import FORMFIELD_OVERRIDES_INLINE
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.models import User
from accounts.money import plain
from accounts.templatetags.money import price

LINK = "text-primary-600 dark:text-primary-500"  # unfold's classes for a link that shows
NOTHING = "–"
F = TypeVar("F", bound=Callable[..., object])
Text = str | Promise


class StaffRequest(HttpRequest):
    """A request behind the admin's own sign-in."""

    user: User


class PlainDecimalField(forms.DecimalField):
    """A number without needless zeros or an exponent: 0 and not 0E-8."""

    def prepare_value(self, value: Any) -> Any:
        return plain(value) if isinstance(value, Decimal) else value


@dataclass(frozen=True, slots=True)
class Button:
    """Something to be done with a row: a page that asks first, or (`post`) at once."""

    label: Text
    url: str
    icon: str
    post: bool = False


class PanelAdmin(ModelAdmin):
    """The looks and habits of every admin page here; unfold's own annotations are narrower than what it takes."""

    list_per_page = 50
    show_full_result_count = False
    change_form_outer_before_template: Any = "admin/panel/buttons.html"
    list_before_template: Any = None
    add_fieldsets: Any = ()
    formfield_overrides = {DecimalField: {"form_class": PlainDecimalField}}  # type: ignore[misc,assignment]  # Django and unfold disagree

    def list_buttons(self, request: StaffRequest, row: Any) -> list[Button]:
        """Return what whoever asks may do with a row."""
        del request, row
        return []

    def render_change_form(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the row's buttons above its page."""
        row = kwargs.get("obj")
        context["buttons"] = self.list_buttons(request, row) if row is not None else []
        return super().render_change_form(request, context, *args, **kwargs)


class ReadOnlyAdmin(PanelAdmin):
    """Rows that are looked at and never edited by hand; what can be done with them has a button of its own."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False


class PanelInline(TabularInline):
    """Rows of another model on a row's page."""

    extra = 0
    hide_title: Any = True
    formfield_overrides = {  # type: ignore[misc,assignment]  # Django and unfold disagree
        **FORMFIELD_OVERRIDES_INLINE,
        DecimalField: {**cast("Any", FORMFIELD_OVERRIDES_INLINE[DecimalField]), "form_class": PlainDecimalField},
    }


class ReadOnlyInline(PanelInline):
    """Rows that nobody edits."""

    can_delete = False

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


class AskForm(forms.Form):
    """A form of an asking page, in the admin's looks."""

    WIDGETS: ClassVar[tuple[tuple[type[forms.Field], type[forms.Widget]], ...]] = (
        (forms.DecimalField, UnfoldAdminDecimalFieldWidget),
        (forms.CharField, UnfoldAdminTextInputWidget),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.ChoiceField):
                field.widget = UnfoldAdminSelectWidget(choices=list(cast("Any", field.choices)))
            elif isinstance(field.widget, forms.PasswordInput):
                field.widget = UnfoldAdminPasswordWidget()
            elif not field.widget.is_hidden:
                field.widget = next(widget for kind, widget in self.WIDGETS if isinstance(field, kind))()


def ask(
    admin: ModelAdmin,
    request: HttpRequest,
    form: forms.Form,
    *,
    submit: Text,
    subject: Model | None = None,
    **words: Any,
) -> HttpResponse:
    """Show a page that asks before it acts: `title`, `explanation`, `facts` (label and value pairs) and its button."""
    options = admin.model._meta  # noqa: SLF001 - the public way to a model's names
    changelist = f"admin:{options.app_label}_{options.model_name}_changelist"
    context = {
        **admin.admin_site.each_context(request),
        "opts": options,
        "form": form,
        "label": submit,
        "back": change_url(subject) if subject is not None else reverse(changelist),
        **words,
    }
    return TemplateResponse(request, "admin/panel/ask.html", context)


def column(title: Text, *, ordering: str | None = None, **looks: Any) -> Callable[[F], F]:
    """Make a method a column: its title, what it is sorted by, and unfold's `label`, `header` or `boolean`."""
    return cast("Callable[[F], F]", cast("Any", display)(description=title, ordering=ordering, **looks))


def change_url(row: Model) -> str:
    """Return the address of a row's page in the admin."""
    options = row._meta  # noqa: SLF001 - the public way to a model's names
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])


def link(row: Model | None, text: str = "") -> str:
    """Return a link to a row's page in the admin."""
    return (
        NOTHING
        if row is None
        else format_html('<a href="{}" class="{}">{}</a>', change_url(row), LINK, text or str(row))
    )


def amount(number: Decimal | None) -> str:
    """Write an amount without needless zeros, or a dash."""
    return NOTHING if number is None else price(number)


def pairs(values: Mapping[str, object]) -> str:
    """Write what an event holds as `name: value` pairs."""
    written = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return " · ".join(f"{name}: {value}" for name, value in written.items()) or NOTHING
