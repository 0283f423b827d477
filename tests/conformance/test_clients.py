"""Clients of other makers, unmodified from the package index, against a running platform."""

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.clients.environments import Missing, ensure
from tests.conformance.vtn import DIALECTS, Credentials, Dialect, Vtn

SCRIPTS = Path(__file__).parent / "clients"
pytestmark = pytest.mark.timeout(600)  # the first run makes their environments


def played(name: str, bl: Credentials, ven: Credentials, *arguments: str) -> None:
    """A client's script to its end, with these credentials."""
    try:
        python = ensure(name)
    except Missing as missing:
        pytest.skip(f"the client {name} cannot run here: {missing}")
    secrets = {"BL_ID": bl.client_id, "BL_SECRET": bl.secret, "VEN_ID": ven.client_id, "VEN_SECRET": ven.secret}
    plain = {"OAUTHLIB_INSECURE_TRANSPORT": "1"}  # http on loopback: oauthlib wants to be told
    done = subprocess.run(
        [python, SCRIPTS / f"{name}.py", *arguments],
        env=os.environ | secrets | plain,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.clause("clients: python-oa3-client")
@pytest.mark.clause("webhooks: notification")
@pytest.mark.clause("mqtt: token as password")
def test_oa3_publishes_polls_reports_and_is_told(vtn: Vtn) -> None:
    """By webhook, and by MQTT with its token as the password."""
    played("oa3", vtn.usual("bl"), vtn.usual("ven"), vtn.url(), "token")


@pytest.mark.clause("clients: python-oa3-client")
@pytest.mark.clause("mqtt: anonymous")
def test_oa3_hears_by_its_own_mqtt_channel(fresh_vtn: Callable[..., Vtn]) -> None:
    """Which cannot show the broker anything: one for trying things out lets it in."""
    vtn = fresh_vtn(mqtt_auth="anonymous")
    vtn.platform.start()
    played("oa3", vtn.usual("bl"), vtn.usual("ven"), vtn.url(), "anonymous")
    assert vtn.failures() == []


@pytest.mark.clause("clients: openadr3-client")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_elaad_publishes_polls_and_reports(vtn: Vtn, dialect: Dialect) -> None:
    played("elaad", vtn.usual("bl"), vtn.usual("ven"), vtn.url(dialect), dialect)


@pytest.mark.clause("clients: parallel runs")
def test_two_suites_at_once_on_an_empty_platform(fresh_vtn: Callable[..., Vtn]) -> None:
    """Each with clients of its own; neither notices the other."""
    vtn = fresh_vtn()
    vtn.platform.start()
    suites = [vtn.enrol(role) for _ in range(2) for role in ("bl", "ven")]
    failures: list[BaseException] = []

    def suite(bl: Credentials, ven: Credentials) -> None:
        try:
            played("oa3", bl, ven, vtn.url(), "token")
        except BaseException as failure:  # told in the test's own thread
            failures.append(failure)

    runs = [threading.Thread(target=suite, args=suites[at : at + 2]) for at in (0, 2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert not failures, failures
    assert vtn.failures() == []
