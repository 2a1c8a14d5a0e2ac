"""Which of a customer's links may be clicked: an order's link can be a handle, a number, or anything else."""

from django import template

register = template.Library()


@register.filter
def is_web(link: str) -> bool:
    """Tell whether a link is a web address; no other scheme ever becomes an href."""
    return link.lower().startswith(("https://", "http://"))
