"""A document as PDF (A4): a summary that one pays by, then every event, entry and input that it follows from.

The same document makes the same bytes: its dates are of `known_at`, nothing is compressed (zlib's builds differ), no id
is random. Money and energy stand with all their digits.
"""

import functools
import io
from collections.abc import Iterator
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, LongTable, PageTemplate, Paragraph, Spacer

from tieline.settlement.documents import wording
from tieline.settlement.documents.model import AccountDocument, json_digest
from tieline.settlement.documents.style import (
    BODY,
    BOLD,
    GREY,
    HEADING,
    INK,
    MARGIN,
    REGULAR,
    ROW,
    RULE,
    SMALL,
    TITLE,
    box_style,
    facts_style,
    fitted,
    fonts,
    shown,
    table_style,
)
from tieline.settlement.runs.model import Account, Run

WIDTH = A4[0] - 2 * MARGIN
FOOT = 12 * mm


def pdf_of(document: Run | AccountDocument) -> bytes:
    """Takes a while: call it in a thread."""
    fonts()
    out = io.BytesIO()
    digest = json_digest(document)
    frame = Frame(MARGIN, MARGIN + FOOT, WIDTH, A4[1] - 2 * MARGIN - FOOT, 0, 0, 0, 0)
    template = BaseDocTemplate(
        out,
        pagesize=A4,
        pageTemplates=[PageTemplate(frames=[frame])],
        title=wording.title(document),
        author=document.program_id,
        creator="Tieline",
        invariant=1,
        pageCompression=0,
    )
    template.build(list(_story(document, digest)), canvasmaker=functools.partial(_Pages, document, digest))
    return out.getvalue()


class _Pages(Canvas):
    """Feet that say how many pages there are: pages are kept until the last one is known."""

    def __init__(self, document: Run | AccountDocument, digest: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.setDateFormatter(lambda *_: document.known_at.strftime("D:%Y%m%d%H%M%SZ"))
        self._kept: list[dict[str, Any]] = []
        self._foot = f"{wording.reference(document)} · SHA-256 of its JSON {digest}"

    def showPage(self) -> None:  # noqa: N802  reportlab's name
        self._kept.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]

    def save(self) -> None:
        for number, page in enumerate(self._kept, 1):
            self.__dict__.update(page)
            self._draw_foot(number)
            super().showPage()
        super().save()

    def _draw_foot(self, number: int) -> None:
        self.setStrokeColor(RULE)
        self.line(MARGIN, MARGIN + 6 * mm, MARGIN + WIDTH, MARGIN + 6 * mm)
        self.setFillColor(GREY)
        self.setFont(REGULAR, 6.5)
        self.drawString(MARGIN, MARGIN + 2.5 * mm, self._foot)
        self.drawRightString(MARGIN + WIDTH, MARGIN + 2.5 * mm, f"page {number} of {len(self._kept)}")


# --- what stands in it ------------------------------------------------------------------------------------------------


def _story(document: Run | AccountDocument, digest: str) -> Iterator[Flowable]:
    yield from _summary(document)
    if isinstance(document, Run):
        yield from _table("Accounts", wording.in_short(document.accounts, document.currency))
        if document.measured:
            yield from _table("Events", wording.events(document.measured))
            yield from (Paragraph(line, BODY) for line in wording.how_sure(document.measured, together=True))
    else:
        yield from _table("Events", wording.deliveries(document.account))
        yield from (Paragraph(note, BODY) for note in wording.notes(document.account))
        yield from (Paragraph(line, BODY) for line in wording.how_sure(document.measured or []))
        yield from _table("Entries", wording.entries(document.account, document.zone))
        yield from _reasons(document.account)
    yield from _table("What this follows from", wording.inputs(document.inputs))
    yield Paragraph("How to check this document", HEADING)
    yield from (Paragraph(line, BODY) for line in wording.checking(document, digest))


def _summary(document: Run | AccountDocument) -> Iterator[Flowable]:
    yield Paragraph(shown(wording.title(document)), TITLE)
    yield Paragraph(shown(wording.reference(document)), SMALL)
    yield Spacer(0, 6 * mm)
    amounts = LongTable(wording.amounts(document), colWidths=[34 * mm, 41 * mm], style=box_style())
    value = WIDTH - 111 * mm
    named = [(name, fitted(said, value, 8.5)) for name, said in wording.facts(document)]
    facts = LongTable(named, colWidths=[30 * mm, value], style=facts_style())
    yield LongTable([[facts, amounts]], colWidths=[WIDTH - 75 * mm, 75 * mm], style=facts_style(around=True))
    yield Spacer(0, 3 * mm)
    yield Paragraph(shown(wording.who_owes(document)), BODY)
    yield from _table("By clause", wording.by_clause(document))


def _table(heading: str, table: wording.Table) -> Iterator[Flowable]:
    yield Paragraph(heading, HEADING)
    if not table.rows:
        yield Paragraph("None.", BODY)
        return
    widths = [WIDTH * share for share in table.shares]
    rows = [table.header, *(tuple(map(fitted, row, widths)) for row in table.rows)]
    style = table_style(table.numbers, summed=table.summed)
    yield LongTable(rows, colWidths=widths, rowHeights=[ROW] * len(rows), repeatRows=1, style=style)


def _reasons(account: Account) -> Iterator[Flowable]:
    yield Paragraph("Why each entry is what it is", HEADING)
    for number, entry in enumerate(account.entries, 1):
        said = f"<font name='{BOLD}' color='{INK.hexval()}'>{number}</font>  {wording.markup(entry.because)}"
        yield Paragraph(said, BODY)
