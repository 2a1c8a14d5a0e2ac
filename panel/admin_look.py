"""The admin's looks: unfold's settings, in the shop's one hue (static/panel.css), and who fills its pages."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static

HUE = 215


def find_style(_request: HttpRequest) -> str:
    """Return the address of what unfold's own style leaves out."""
    return static("admin.css")


UNFOLD: dict[str, Any] = {
    "STYLES": [find_style],
    "SITE_TITLE": "panel.dashboard.name_site",
    "SITE_HEADER": "panel.dashboard.name_site",
    "SITE_SYMBOL": "storefront",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "panel.dashboard.find_favicon"}],
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "DASHBOARD_CALLBACK": "panel.dashboard.fill",
    "SIDEBAR": {"show_search": False, "navigation": "panel.dashboard.list_pages"},
    "COLORS": {
        "base": {
            "50": f"oklch(97.7% .004 {HUE})",
            "100": f"oklch(96% .006 {HUE})",
            "200": f"oklch(91% .008 {HUE})",
            "300": f"oklch(84% .012 {HUE})",
            "400": f"oklch(72.5% .014 {HUE})",
            "500": f"oklch(53% .018 {HUE})",
            "600": f"oklch(45% .02 {HUE})",
            "700": f"oklch(37% .018 {HUE})",
            "800": f"oklch(28% .016 {HUE})",
            "900": f"oklch(21% .014 {HUE})",
            "950": f"oklch(16% .012 {HUE})",
        },
        "primary": {
            "50": f"oklch(97.5% .012 {HUE})",
            "100": f"oklch(95.3% .022 {HUE})",
            "200": f"oklch(90.5% .045 {HUE})",
            "300": f"oklch(84% .085 {HUE})",
            "400": f"oklch(78% .095 {HUE})",
            "500": f"oklch(72% .1 {HUE})",
            "600": f"oklch(49% .1 {HUE})",
            "700": f"oklch(43% .095 {HUE})",
            "800": f"oklch(37% .08 {HUE})",
            "900": f"oklch(31% .065 {HUE})",
            "950": f"oklch(24% .045 {HUE})",
        },
    },
}
