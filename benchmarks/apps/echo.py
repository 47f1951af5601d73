"""The echo app of the end-to-end tests, on the loopback address."""

from e2e.apps.echo import app

from apps.loopback import stay_on_loopback

stay_on_loopback()

__all__ = ["app"]
