"""What a check has found."""

import dataclasses

__all__ = ["Finding", "Report", "counted"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line about an environment.

    `level` is "error" where training would end with an error or learn something wrong, and "advice" where it works but
    something is better changed. `name` is the name of the finding, and `text` says what was seen and what to do.
    """

    level: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.name}: {self.text}"


@dataclasses.dataclass(frozen=True)
class Report:
    """All findings about the environment called `env`; true if there is no error among them.

    `facts` says in one line what the environment observes, which head acts in it, and how much of it was seen.
    """

    env: str
    findings: tuple[Finding, ...] = ()
    facts: str = ""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that training cannot do with."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def advice(self) -> tuple[Finding, ...]:
        """The other findings."""
        return tuple(finding for finding in self.findings if finding.level != "error")

    @property
    def is_good(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def __bool__(self) -> bool:
        return self.is_good

    def __str__(self) -> str:
        return "\n".join([f"{self.env}: {self.facts}", *map(str, self.findings), self._verdict()])

    def _verdict(self):
        errors, advice = len(self.errors), len(self.advice)
        parts = [counted(errors, "error")] if errors else ["good"]
        return ", ".join(parts + ([f"{advice} piece{'s' if advice > 1 else ''} of advice"] if advice else []))


def counted(n: int, what: str) -> str:
    """Write how many there are of something."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
