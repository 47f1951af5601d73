"""The echo app of the end-to-end tests, on the loopback address."""

from apps.loopback import stay_on_loopback
from e2e.apps.echo import Echo, app

stay_on_loopback()

__all__ = ["Echo", "app"]
