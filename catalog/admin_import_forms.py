"""What the import wizard asks: prices, names, and categories."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin_pages import AskForm, PlainDecimalField
from accounts.errors import UserError
from catalog import choosing


class PriceForm(AskForm):
    """The rule that each service gets; all empty: the rules there are."""

    percent = PlainDecimalField(
        label=_("Markup, percent"),
        required=False,
        max_digits=9,
        decimal_places=4,
        min_value=0,
        help_text=_("Leave all three empty to go by the rules of category, provider or site."),
    )
    fixed = PlainDecimalField(
        label=_("Fixed, on top of the rate"), required=False, max_digits=20, decimal_places=8, min_value=0
    )
    round_to = PlainDecimalField(
        label=_("Round up to"),
        required=False,
        max_digits=20,
        decimal_places=6,
        help_text=_("A multiple of this, for example 0.01; empty: as it comes."),
    )

    def clean_round_to(self) -> Any:
        value = self.cleaned_data["round_to"]
        if value is not None and value <= 0:
            raise ValidationError(_("It must be above zero; empty: as it comes."))
        return value


class NameForm(AskForm):
    """A template for names, and a category of ours for each of theirs."""

    template = forms.CharField(
        label=_("Names"), max_length=200, help_text=_("{name}, {category} and {id} stand for theirs.")
    )

    def __init__(self, values: Mapping[str, str], shown: Mapping[str, str], template: str, data: Any = None) -> None:
        self.names = {f"category_{place}": name for place, name in enumerate(shown)}
        initial = {"template": template, **{field: values[name] for field, name in self.names.items()}}
        super().__init__(data, initial=initial)
        for field, name in self.names.items():
            widget = UnfoldAdminTextInputWidget({"list": "categories"})
            self.fields[field] = forms.CharField(label=name or _("(no category)"), max_length=200, widget=widget)

    def clean_template(self) -> str:
        try:
            return choosing.check_template(self.cleaned_data["template"])
        except UserError as error:
            raise ValidationError(error.text) from error

    def read_categories(self) -> dict[str, str]:
        """Return which of ours each of their categories becomes, of a valid form."""
        return {name: " ".join(self.cleaned_data[field].split()) for field, name in self.names.items()}

    @property
    def groups(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The fields under their headings."""
        return [
            ("", [self["template"]]),
            (_("Their category, and ours"), [self[field] for field in self.names]),
        ]
