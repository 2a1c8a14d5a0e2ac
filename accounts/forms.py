from django import forms
from django.utils.translation import gettext_lazy as _


class KeyForm(forms.Form):
    """The name of a new key; the key itself is made by accounts/api_keys.py."""

    name = forms.CharField(label=_("What is it for?"), max_length=60, required=False)
