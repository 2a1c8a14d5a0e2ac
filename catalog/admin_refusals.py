"""Error texts as staff class them: from then on the provider's next such answer settles by itself (PROTOCOL 4)."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import NOTHING, PanelAdmin, StaffRequest, column, link
from catalog import classing
from catalog.admin_forms import RefusalForm
from catalog.models import RefusalText


@admin.register(RefusalText)
class RefusalTextAdmin(PanelAdmin):
    """Classed refusals; once it is there, only what a text means can be changed."""

    form = RefusalForm
    list_display = ("text", "provider_link", "meaning", "who", "created_at")
    list_filter = (("provider", admin.RelatedOnlyFieldListFilter), "meaning")
    list_select_related = ("provider", "classed_by")
    search_fields = ("text", "provider__name")
    ordering = ("provider__name", "normal")
    autocomplete_fields = ("provider",)

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> Any:
        return ["provider", "text", "meaning", *(("who", "created_at") if obj else ())]

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> list[str]:
        """Leave a text what it is: another text is another row."""
        return ["provider", "text", "who", "created_at"] if obj else []

    @column(_("provider"), ordering="provider__name")
    def provider_link(self, refusal: RefusalText) -> str:
        return link(refusal.provider)

    @column(_("classed by"), ordering="classed_by__email")
    def who(self, refusal: RefusalText) -> str:
        return refusal.classed_by.email if refusal.classed_by else NOTHING

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Class the text; one that is classed already changes its meaning, whichever page it was entered on."""
        del form, change
        actor_id = cast("StaffRequest", request).user.pk
        obj.pk = classing.class_text(obj.provider_id, obj.text, obj.meaning, actor_id=actor_id).pk
