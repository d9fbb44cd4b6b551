"""The pages say what the code says: every setting of a group, every option of a command, every link."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from overlaycast.cli import COMMANDS
from overlaycast.wire.frames import Kind
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import CoordinatorMessage, MemberMessage

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def settings_table() -> str:
    """Return the table of a group's settings as docs/operate.md shows it."""
    rows = [
        f"| `{name}` | {field.default} | {field.description} |" for name, field in GroupSettings.model_fields.items()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows, ""])


def test_every_group_setting_is_described() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    assert settings_table() in page, f"docs/operate.md should hold:\n{settings_table()}"


def test_every_message_and_frame_is_described() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    kinds = [model.model_fields["kind"].default for model in (*MemberMessage.__args__, *CoordinatorMessage.__args__)]
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []
    assert [kind.name for kind in Kind if f"`{kind.name}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_leads_to_a_function(command: str) -> None:
    module, function = COMMANDS[command][1].split(":")
    assert callable(getattr(import_module(module), function))
