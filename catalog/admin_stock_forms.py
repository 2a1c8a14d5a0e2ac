"""What staff fill in about stock: lines that go in and are shown by no form again, and what leaves and why."""

import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import INPUT_CLASSES, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.admin_pages import AskForm
from catalog import stock
from catalog.models import Product, StockBatch

ALL, EXPIRED = "all", "expired"


class LinesInput(UnfoldAdminTextareaWidget):
    """A text area that takes lines and never shows them again, whatever was wrong with the rest of the form."""

    def format_value(self, _value: Any) -> str:
        return ""


class DayInput(UnfoldAdminTextInputWidget):
    """A day, by the browser's own means."""

    input_type = "date"


class FileInput(forms.FileInput):
    """A file, in the admin's looks and without JavaScript."""

    def __init__(self) -> None:
        super().__init__({"class": " ".join(INPUT_CLASSES), "accept": ".txt,.csv,text/plain"})


class LinesField(forms.CharField):
    """Lines as they are, with the blanks that belong to them."""


class UploadForm(AskForm):
    """Lines to be kept, pasted or in a file."""

    WIDGETS = (
        (LinesField, LinesInput),
        (forms.FileField, FileInput),
        (forms.DateField, DayInput),
        *AskForm.WIDGETS,
    )

    text = LinesField(
        label=_("Lines"),
        required=False,
        strip=False,
        help_text=_("One for each piece, as the buyer is to get it. They are not shown again."),
    )
    file = forms.FileField(
        label=_("Or a file"),
        required=False,
        help_text=_("Text in UTF-8, one line for each piece; more than two megabytes only so."),
    )
    name = forms.CharField(
        label=_("Name of the upload"), required=False, max_length=120, help_text=_("Where they are from, for example.")
    )
    last_day = forms.DateField(
        label=_("Last day on sale"), required=False, help_text=_("Not sold any more after it; empty: no limit.")
    )

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or self.cleaned_data
        file = values.get("file")
        if bool(file) == bool(values.get("text")):
            raise ValidationError(_("Paste the lines or choose a file, one of the two."))
        if file:
            values["text"] = read_file(file)
        return values

    @property
    def expires_at(self) -> datetime.datetime | None:
        """When the lines are not sold any more: at the end of their last day here."""
        last_day = self.cleaned_data["last_day"]
        return stock.end_of_day(last_day) if last_day else None


class WithdrawForm(AskForm):
    """What is taken out of the stock, and why."""

    what = forms.ChoiceField(label=_("What"))
    why = forms.CharField(label=_("Reason, for our own books"), max_length=200)

    def __init__(self, product: Product, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        left = stock.list_on_hand().filter(product=product).values("batch")
        batches = [(str(batch.pk), _("Upload %s") % batch) for batch in StockBatch.objects.filter(pk__in=left)]
        choices = [(ALL, _("All that is left")), (EXPIRED, _("What has expired")), *batches]
        self.fields["what"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField has them


def read_file(file: Any) -> str:
    """Return the text of an uploaded file; raise ValidationError when it is too large or no text."""
    if file.size > stock.MOST_BYTES:
        raise ValidationError(_("It is larger than %s MB") % (stock.MOST_BYTES // 1_000_000))
    try:
        text: str = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(_("It is no text in UTF-8.")) from error
    return text
