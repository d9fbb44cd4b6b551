"""What a group is like unless it is told otherwise."""

from __future__ import annotations

from overlaycast.wire.group import FILE_DEFAULTS, GroupSettings


def test_a_file_group_is_patient_unless_told_otherwise() -> None:
    live, file = GroupSettings(), GroupSettings(mode="file")
    for name, patient in FILE_DEFAULTS.items():
        assert getattr(file, name) == patient > getattr(live, name)
    assert GroupSettings(mode="file", silence_ms=100).silence_ms == 100


def test_settings_survive_the_way_over_the_wire() -> None:
    for settings in (GroupSettings(), GroupSettings(mode="file"), GroupSettings(mode="file", heartbeat_ms=25)):
        assert GroupSettings.model_validate_json(settings.model_dump_json()) == settings


def test_what_is_filled_in_does_not_count_as_given() -> None:
    assert GroupSettings(mode="file", improve_s=3).model_fields_set == {"mode", "improve_s"}
    assert GroupSettings.model_validate_json('{"mode": "file", "silence_ms": 90}').model_fields_set == {
        "mode",
        "silence_ms",
    }
    assert GroupSettings.model_validate(GroupSettings(mode="file")).mode == "file"
