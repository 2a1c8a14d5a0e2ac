"""API keys: made here, shown once, kept as a digest.

A key has 256 random bits, so one SHA-256 is as strong as any slow hash and lets the database find it by an index.
"""

import hashlib
import secrets

from django.utils import timezone

from accounts.models import ApiKey

KEY_BYTES = 32
PREFIX_LENGTH = 8


def digest(key: str) -> str:
    """Return the digest under which a key is kept; spaces around it do not count (PROTOCOL 1.3)."""
    return hashlib.sha256(key.strip().encode("utf-8", "replace")).hexdigest()


def issue_key(user_id: int, *, name: str = "") -> tuple[ApiKey, str]:
    """Make a key for a user and return it with its text, which cannot be read again."""
    key = secrets.token_hex(KEY_BYTES)
    row = ApiKey.objects.create(user_id=user_id, name=name, digest=digest(key), prefix=key[:PREFIX_LENGTH])
    return row, key


def revoke_key(user_id: int, key_id: int) -> bool:
    """Revoke one of a user's keys; False when there is no such key or it was revoked before."""
    live = ApiKey.objects.filter(pk=key_id, user_id=user_id, revoked_at=None)
    return bool(live.update(revoked_at=timezone.now()))
