"""What the readers of bank files refuse."""

from dataclasses import dataclass


@dataclass
class UnableToReadBankFileError(Exception):
    """A bank file that is not what it should be; nothing of it was taken.

    `where` names the place (file, then line, statement or entry), `message` what is there and what was expected.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
