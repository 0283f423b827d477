"""Documents of a settlement run: the same bytes anywhere, sums that hold, signatures that nothing slips past."""

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pypdfium2  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from tests.unit.settlement_run import small_run
from tieline.base.errors import Refused
from tieline.settlement.documents import model
from tieline.settlement.documents.content import content_of
from tieline.settlement.documents.model import AccountDocument, Form, Wanted
from tieline.settlement.documents.verification import TYPE, Header, KeySet, keys_of, public_key, signature, verified
from tieline.settlement.runs.model import Run

ROOT = Path(__file__).parents[2]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = KeySet([public_key(KEY)])
RUN = small_run()
GOLDEN = {
    "": "f5e8a5e4aaeccad5d3f5711d578277c9420894a7951a9d00b34319bb7da57aff",
    "home-2": "f8f08d7d100ac84af5e3f259eb4c109bdcaa75a96c1f014d2187034b366ab39d",
}


def document(ven_id: str) -> Run | AccountDocument:
    return model.of_account(RUN, RUN.accounts[1]) if ven_id else RUN


def content(ven_id: str, form: Form) -> bytes:
    return content_of(document(ven_id), form)


def header(ven_id: str, form: Form) -> Header:
    return Header(
        alg="Ed25519",
        kid=KEYS.keys[0].kid,
        typ=TYPE,
        cty=form.media_type.partition(";")[0],
        run_id=RUN.run_id,
        ven_id=ven_id,
        json_sha256=model.json_digest(document(ven_id)),
    )


SIGNED = content("home-2", Form.JSON)
JWS = signature(SIGNED, header("home-2", Form.JSON), KEY)


# --- the same bytes anywhere ------------------------------------------------------------------------------------------

DIGESTS = """
import hashlib
from tests.unit.settlement_run import small_run
from tieline.settlement.documents import model
from tieline.settlement.documents.content import content_of
from tieline.settlement.documents.model import Form
run = small_run()
for shown in (run, model.of_account(run, run.accounts[1])):
    for form in Form:
        print(hashlib.sha256(content_of(shown, form)).hexdigest())
"""


def test_another_process_elsewhere_makes_the_same_bytes() -> None:
    elsewhere = {"TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", DIGESTS]
    done = subprocess.run(
        command, env={**os.environ, **elsewhere}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    here = [hashlib.sha256(content(of, form)).hexdigest() for of in ("", "home-2") for form in Form]
    assert done.stdout.split() == here


@pytest.mark.parametrize("ven_id", ["", "home-2"])
def test_the_json_is_what_it_was_when_this_was_written(ven_id: str) -> None:
    assert hashlib.sha256(content(ven_id, Form.JSON)).hexdigest() == GOLDEN[ven_id]


def test_the_pdf_is_dated_by_what_was_known() -> None:
    pdf = content("home-2", Form.PDF)
    assert b"/CreationDate (D:20260703010000Z)" in pdf


# --- what they say ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ven_id", ["", "home-2"])
def test_the_amounts_of_the_csv_add_up_to_the_total(ven_id: str) -> None:
    lines = list(csv.DictReader(io.StringIO(content(ven_id, Form.CSV).decode())))
    total = RUN.accounts[1].total if ven_id else RUN.total
    assert sum(Decimal(line["amount"]) for line in lines) == total
    assert "'=0.3 kWh short" in {line["because"] for line in lines}


@pytest.mark.parametrize("ven_id", ["", "home-2"])
def test_the_pdf_shows_every_amount(ven_id: str) -> None:
    pdf = pypdfium2.PdfDocument(content(ven_id, Form.PDF))
    text = "\n".join(page.get_textpage().get_text_range() for page in pdf)
    pdf.close()
    if ven_id:
        amounts = [entry.amount for entry in RUN.accounts[1].entries] + [RUN.accounts[1].total]
        assert "[U+6D88][U+8CBB][U+7A0E], Łódź, Ωμέγα, <b>" in text  # what its fonts have, and what they lack
    else:
        amounts = [amount for one in RUN.accounts for amount in (one.net, one.tax, one.total)] + [RUN.total]
    assert [f"{amount:,f}" for amount in amounts if f"{amount:,f}" not in text] == []
    assert model.json_digest(document(ven_id)) in text


@pytest.mark.parametrize(
    ("name", "wanted", "filename"),
    [
        ("all.json", Wanted("", Form.JSON), "peak-2026-06-01-2.json"),
        ("home-2.pdf.jws", Wanted("home-2", Form.PDF, signature=True), "peak-2026-06-01-2-home-2.pdf.jws"),
    ],
)
def test_a_name_says_what_is_wanted(name: str, wanted: Wanted, filename: str) -> None:
    assert Wanted.parsed(name) == wanted
    assert wanted.filename(RUN.run_id) == filename


@pytest.mark.parametrize("name", ["all", "all.xlsx", ".pdf", "home-2.jws", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Refused, match="no document"):
        Wanted.parsed(name)


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("ven_id", ["", "home-2"])
def test_a_signature_holds_and_says_of_what_it_is(ven_id: str, form: Form) -> None:
    signed = content(ven_id, form)
    found = verified(signed, signature(signed, header(ven_id, form), KEY), KEYS)
    assert found == header(ven_id, form)


@given(where=st.integers(0, len(SIGNED) - 1), other=st.integers(1, 255))
def test_any_byte_changed_is_found(where: int, other: int) -> None:
    changed = SIGNED[:where] + bytes([SIGNED[where] ^ other]) + SIGNED[where + 1 :]
    with pytest.raises(Refused, match="was changed"):
        verified(changed, JWS, KEYS)


@given(where=st.integers(0, len(JWS) - 3), letter=st.sampled_from("ABCxyz019-_."))  # its last letter has spare bits
def test_a_changed_signature_never_holds(where: int, letter: str) -> None:
    changed = JWS[:where] + letter + JWS[where + 1 :]
    if changed != JWS:
        with pytest.raises(Refused):
            verified(SIGNED, changed, KEYS)


@pytest.mark.parametrize("text", ["", ".", "..", "a..b", "e30..", "a.b.c", "....", "é..é", "A" * 5000])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        verified(SIGNED, text, KEYS)


class Critical(Header, frozen=True, kw_only=True):
    crit: list[str]


def test_a_header_that_wants_more_understood_is_refused() -> None:
    """RFC 7515, 4.1.11: a `crit` that is not understood makes a signature invalid."""
    said = Critical(**msgspec.structs.asdict(header("", Form.JSON)), crit=["b64"])
    with pytest.raises(Refused, match="crit"):
        verified(content("", Form.JSON), signature(content("", Form.JSON), said, KEY), KEYS)


def test_a_key_that_is_not_among_those_given_is_named() -> None:
    with pytest.raises(Refused, match=KEYS.keys[0].kid):
        verified(SIGNED, JWS, KeySet([]))


def test_a_run_that_does_not_have_its_own_digest_is_refused_though_it_is_signed() -> None:
    other = msgspec.structs.replace(RUN, total=Decimal(1))
    signed = content_of(other, Form.JSON)
    said = msgspec.structs.replace(header("", Form.JSON), json_sha256=hashlib.sha256(signed).hexdigest())
    with pytest.raises(Refused, match="own digest"):
        verified(signed, signature(signed, said, KEY), KEYS)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": 3}', b" " * 2**21])
def test_what_are_no_keys_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match="the keys"):
        keys_of(text)


def test_another_jose_library_verifies_with_the_published_keys() -> None:
    published = msgspec.json.encode(KEYS)
    assert keys_of(published) == KEYS
    key = OKPKey.import_key(msgspec.json.decode(published)["keys"][0])
    head, _, end = JWS.split(".")
    whole = f"{head}.{base64.urlsafe_b64encode(SIGNED).rstrip(b'=').decode()}.{end}"
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    assert jws.deserialize_compact(whole, key, registry=registry).payload == SIGNED
    assert key.thumbprint() == KEYS.keys[0].kid
