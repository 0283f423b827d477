"""A document in one of its forms, as bytes: the same ones wherever and whenever it is made. Pure."""

from tieline.settlement.documents.model import AccountDocument, Form
from tieline.settlement.documents.pdf import pdf_of
from tieline.settlement.documents.sheet import csv_of
from tieline.settlement.model import canonical
from tieline.settlement.runs.model import Run


def content_of(shown: Run | AccountDocument, form: Form) -> bytes:
    """Takes a while: call it in a thread."""
    match form:
        case Form.JSON:
            return canonical(shown)
        case Form.CSV:
            return csv_of(shown)
        case Form.PDF:
            return pdf_of(shown)
