"""The team set-up: no secret in it, nothing unpinned, every variable explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_has_a_version(name: str) -> None:
    """`latest` would be another program tomorrow."""
    image = SERVICES[name]["image"]
    assert re.search(r":[^:]*\d", image)
    assert "latest" not in image


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"store-bucket"}))
def test_every_server_is_watched_and_restarted(name: str) -> None:
    """A server that hangs is seen."""
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_every_secret_comes_from_the_environment_file_and_must_be_given() -> None:
    """No password has a default."""
    for service in SERVICES.values():
        for key, value in service["environment"].items():
            if re.search(r"PASSWORD|TOKEN$|AUTH_STRING|_USER_TOKEN", key) and "LEGACY" not in key:
                assert re.fullmatch(r"\$\{[A-Z_]+:\?fill in \.env\}", value), key


def test_the_example_names_exactly_the_variables() -> None:
    """Nobody looks for a variable that is not there."""
    used = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert used == named
    assert re.search(r"^[A-Z_]+=\S", (ROOT / ".env.example").read_text(), flags=re.MULTILINE) is None


def test_ports_are_open_on_this_machine_only_unless_told_otherwise() -> None:
    """Databases have no port at all."""
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("${BIND:-127.0.0.1}:")
        assert not (name.endswith("-db") and service.get("ports"))


def test_sign_up_and_telemetry_are_off() -> None:
    """As on the local servers."""
    studio, prefect = SERVICES["label-studio"]["environment"], SERVICES["prefect"]["environment"]
    assert studio["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"] == "true"
    assert studio["LABEL_STUDIO_COLLECT_ANALYTICS"] == "false"
    assert studio["SENTRY_DSN"] == studio["FRONTEND_SENTRY_DSN"] == ""
    assert prefect["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_the_servers_are_the_versions_that_are_tested_here() -> None:
    """Label Studio and Prefect of the lock files."""
    lock = (ROOT / "requirements.lock").read_text()
    studio = (ROOT / "requirements-label-studio.lock").read_text()
    assert f"prefect=={SERVICES['prefect']['image'].rpartition(':')[2]}\n" in lock
    assert f"label-studio=={SERVICES['label-studio']['image'].rpartition(':')[2]}\n" in studio
