"""``overlaycast group apply``: has the coordinator's groups be as a file declares them.

Owns: what is asked of the coordinator for each group, and what is said about it. Refuses: which settings may change
(the coordinator), and to end groups.

Invariants: a group of which one setting is refused stays as it is, and the others get theirs. Whoever makes a group has
its token in the end; where it cannot be handed over, the group is deleted again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from overlaycast.admin.declared import DeclaredGroup, DeclaredGroups
from overlaycast.admin.drawing import plain
from overlaycast.admin.request import AdminSettings, SaidNoError, creation, request, view
from overlaycast.admin.token_files import TokenFileError, TokenFiles
from overlaycast.document.placed_yaml import PlacedYaml
from overlaycast.errors import ConfigError
from overlaycast.streams import OutputError, ReaderGoneError
from overlaycast.wire.views import ChangedView, CreatedView, GroupsView


@dataclass(slots=True)
class Outcome:
    """What became of one group. ``wrong``: lines about it for people; it is as it was then."""

    created: bool = False
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    token_file: str | None = None
    wrong: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        some = {"token": self.token, "token_file": self.token_file, "refused": self.refused, "errors": self.wrong}
        return {"created": self.created, "changed": self.changed} | {name: one for name, one in some.items() if one}

    def lines(self, name: str, check: bool) -> Iterator[str]:
        """Yield it for people."""
        if self.created:
            token = f"in {self.token_file}" if self.token_file else self.token
            where = "" if token is None else f"; token {token}"
            yield f"{name}: {'would be created' if check else 'created'}{where}"
        for setting, (old, new) in self.changed.items():
            yield f"{name}: {setting}: {'would change' if check else 'changed'} from {plain(old)} to {plain(new)}"
        if not (self.created or self.changed or self.wrong):
            yield f"{name}: unchanged"


class Application:
    """One run of the command.

    Args:
        document: where each value stands in the file.
        check: change nothing, only say what would change.
    """

    def __init__(
        self, to: AdminSettings, document: PlacedYaml, declared: DeclaredGroups, files: TokenFiles | None, check: bool
    ) -> None:
        self._to = to
        self._document = document
        self._declared = declared
        self._files = files
        self._check = check
        self.outcomes: dict[str, Outcome] = {}
        self.left: tuple[str, ...] = ()

    def run(self) -> None:
        """Do it, group by group, in the order of the file.

        Raises:
            ConfigError: the coordinator is not reached; ``outcomes`` has what was done before.
        """
        present = {group.name for group in view(GroupsView, request(self._to, "GET", "/v1/groups")).groups}
        self.left = tuple(sorted(present - self._declared.groups.keys()))
        for name, group in self._declared.groups.items():
            outcome = self.outcomes[name] = Outcome()
            try:
                if name in present:
                    self._change(name, group, outcome)
                else:
                    self._create(name, group, outcome)
            except (SaidNoError, TokenFileError) as error:
                outcome.wrong.append(str(self._document.error(("groups", name), str(error))))

    def _change(self, name: str, group: DeclaredGroup, outcome: Outcome) -> None:
        given = group.settings.model_dump(exclude_unset=True)
        if not given:
            return
        path, body = f"/v1/groups/{name}", {"settings": given}
        found = view(ChangedView, request(self._to, "PATCH", f"{path}?check=true", body))
        if found.refused:
            outcome.refused = found.refused
            for setting, why in found.refused.items():
                old, new = found.changed[setting]
                complaint = f"{why} (now {plain(old)}; declared {plain(new)})"
                outcome.wrong.append(str(self._document.error(("groups", name, "settings", setting), complaint)))
        elif self._check or not found.changed:
            outcome.changed = found.changed
        else:
            outcome.changed = view(ChangedView, request(self._to, "PATCH", path, body)).changed

    def _create(self, name: str, group: DeclaredGroup, outcome: Outcome) -> None:
        if not self._check:
            self._make(name, group, outcome)
        elif self._files is not None:
            self._files.check(name)
        outcome.created = True

    def _make(self, name: str, group: DeclaredGroup, outcome: Outcome) -> None:
        draft = None if self._files is None else self._files.reserve(name)
        body = creation(name, group.settings, group.token_ttl)
        try:
            made = view(CreatedView, request(self._to, "POST", "/v1/groups", body))
            if draft is None or self._files is None:
                outcome.token = made.token
                return
            try:
                self._files.write(draft, name, made.token)
            except TokenFileError:
                self._unmake(name)
                raise
            outcome.token_file = str(self._files.path(name))
        finally:
            if draft is not None:
                TokenFiles.drop(draft)

    def _unmake(self, name: str) -> None:
        request(self._to, "DELETE", f"/v1/groups/{name}")

    # --- what is said ------------------------------------------------------------------------------------------

    def tell(self) -> int:
        """Print what was done, and what is wrong; return the exit code.

        Raises:
            OutputError: a token could not be printed; the groups whose tokens are lost are deleted again.
        """
        try:
            for line in [json.dumps(self.report())] if self._to.json_output else self._lines():
                print(line)
            sys.stdout.flush()
        except OutputError as error:
            lost = [name for name, one in self.outcomes.items() if one.token is not None]
            for name in lost:
                self._unmake(name)
            more = f"; deleted again, as their tokens would be lost: {', '.join(lost)}" if lost else ""
            if lost or not isinstance(error, ReaderGoneError):
                raise OutputError(f"{error}{more}") from None
        wrong = [line for one in self.outcomes.values() for line in one.wrong]
        for line in wrong:
            print(f"overlaycast: {line}", file=sys.stderr)
        return ConfigError.exit_code if wrong else 0

    def report(self) -> dict[str, Any]:
        """Return what was done, or would be, for JSON."""
        changed = any(one.created or one.changed for one in self.outcomes.values())
        groups = {name: one.document() for name, one in self.outcomes.items()}
        return {"groups": groups, "left": self.left, "changed": changed}

    def _lines(self) -> Iterator[str]:
        for name, outcome in self.outcomes.items():
            yield from outcome.lines(name, self._check)
        for name in self.left:
            yield f"{name}: not declared, left as it is"
