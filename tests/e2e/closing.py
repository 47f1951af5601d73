"""What is made for a test, and closed when its ``with`` ends."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """``with Firefox() as firefox`` closes it."""

    @abstractmethod
    def close(self) -> None:
        """Gives back all that it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
