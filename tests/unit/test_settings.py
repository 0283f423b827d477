"""Settings: where they come from, and what is refused."""

from pathlib import Path

import msgspec
import pytest

from tieline import settings
from tieline.base.errors import Refused


def test_defaults_are_a_laptop() -> None:
    found = settings.load({})
    assert (found.http_host, found.http_port, found.mqtt_port) == ("127.0.0.1", 8400, 1883)
    assert found.loopback


def test_the_environment_comes_before_the_file_and_the_command_line_before_both(tmp_path: Path) -> None:
    file = tmp_path / "tieline.toml"
    file.write_text('http_port = 1\nmqtt_port = 2\ndata = "x"\n')
    environment = {"TIELINE_CONFIG": str(file), "TIELINE_MQTT_PORT": "3", "TIELINE_DATA": "y"}
    found = settings.load(environment, data="z")
    assert (found.http_port, found.mqtt_port, found.data) == (1, 3, "z")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TIELINE_HTTP_PROT": "1"}, "http_prot"),
        ({"TIELINE_HTTP_PORT": "eighty"}, "http_port"),
        ({"TIELINE_HTTP_PORT": "70000"}, "http_port"),
        ({"TIELINE_HTTP_HOST": "0.0.0.0"}, "TIELINE_API_TOKEN"),
        ({"TIELINE_CLOCK_SPEED": "0"}, "clock_speed"),
        ({"TIELINE_CLOCK_START_AT": "2026-01-01T00:00:00"}, "time zone"),
        ({"TIELINE_NATS_URLS": "nats://x"}, "nats_password"),
        ({"TIELINE_ZONE": "Mars/Olympus"}, "zone"),
        ({"TIELINE_CONFIG": "/nowhere/tieline.toml"}, "nowhere"),
    ],
)
def test_what_is_wrong_is_refused_by_name(environment: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        settings.load(environment)


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tieline.toml"
    file.write_text("colour = 'blue'\n")
    with pytest.raises(Refused, match="colour"):
        settings.load({"TIELINE_CONFIG": str(file)})


def test_secrets_are_never_shown() -> None:
    shown = settings.show({"TIELINE_API_TOKEN": "hush", "TIELINE_ROWS_URL": "postgresql://u:hush@h/d"})
    assert "hush" not in repr(shown)
    assert {one.name: one.value for one in shown}["api_token"] == "set"
    assert {one.name: one.source for one in shown}["api_token"] == "environment"


def test_every_setting_says_what_it_is() -> None:
    for field in msgspec.structs.fields(settings.Settings):
        assert settings.describe(field.type)
