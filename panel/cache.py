"""The cache, which may be away: nothing of value is kept there, so nobody is kept from signing in or buying for it."""

import logging
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


class PatientRedisCache(RedisCache):
    """Redis while it answers; without it a limit lets through, and the log says so."""

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Return True while the server is away: whoever waits for a lock goes on."""
        try:
            return bool(super().add(key, value, timeout, version))
        except RedisError as error:
            return bool(_tell(error, instead=True))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the default while the server is away."""
        try:
            return super().get(key, default, version)
        except RedisError as error:
            return _tell(error, instead=default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Keep nothing while the server is away."""
        try:
            super().set(key, value, timeout, version)
        except RedisError as error:
            _tell(error, instead=None)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Return False while the server is away."""
        try:
            return bool(super().delete(key, version))
        except RedisError as error:
            return bool(_tell(error, instead=False))


def _tell(error: RedisError, *, instead: Any) -> Any:
    logger.warning("the cache is away: %s", error)
    return instead
