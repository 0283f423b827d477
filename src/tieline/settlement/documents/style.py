"""How a PDF looks: its fonts, sizes and rules. Black on white, nothing told by colour alone."""

import functools
from importlib.resources import files

from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import TableStyle

MARGIN = 18 * mm
ROW = 15  # of a table, in points: told beforehand, for a table of thousands is measured at every page
_SHORT = 12  # letters that have room in every column
_PADDING = 8
REGULAR, BOLD = "OpenSans", "OpenSans-SemiBold"
INK, GREY, RULE, WASH = HexColor("#14202b"), HexColor("#5f6d7a"), HexColor("#b9c3cc"), HexColor("#f2f4f6")

BODY = ParagraphStyle("body", fontName=REGULAR, fontSize=8.5, leading=12.5, textColor=INK)
SMALL = ParagraphStyle("small", parent=BODY, fontSize=8, textColor=GREY)
TITLE = ParagraphStyle("title", parent=BODY, fontName=BOLD, fontSize=19, leading=25)
HEADING = ParagraphStyle(
    "heading",
    parent=BODY,
    fontName=BOLD,
    fontSize=10.5,
    leading=14,
    spaceBefore=7 * mm,
    spaceAfter=2 * mm,
    keepWithNext=1,
)


@functools.cache
def fonts() -> frozenset[int]:
    """The letters that the fonts have, which come as a package; at first need they are made known to reportlab."""
    folder = files("ttf_opensans") / "ttf"
    faces = [TTFont(name, str(folder / f"{name}.ttf")) for name in (f"{REGULAR}-Regular", BOLD)]
    faces[0].fontName = REGULAR
    for face in faces:
        pdfmetrics.registerFont(face)
    return frozenset(faces[0].face.charToGlyph)


def shown(text: str) -> str:
    """A letter that the fonts lack stands as its number: better read aloud than lost in an empty box."""
    letters = fonts()
    return "".join(one if ord(one) in letters else f"[U+{ord(one):04X}]" for one in text)


def fitted(text: str, width: float, size: float = 7.5) -> str:
    """As much of a long name as there is room for, in points: its middle is left out. It stands whole elsewhere."""
    whole = shown(text)
    if len(whole) <= _SHORT or (needed := pdfmetrics.stringWidth(whole, REGULAR, size)) <= width - _PADDING:
        return whole
    half = int(len(whole) * (width - _PADDING) / needed) // 2 - 1
    return f"{whole[:half]}…{whole[-half:]}"


def table_style(numbers: slice, *, summed: bool) -> TableStyle:
    """`numbers`: the columns that hold them; `summed`: the last row is the sum of those above."""
    last = -1 if numbers.stop is None else numbers.stop - 1
    style = TableStyle(
        [
            ("FONT", (0, 0), (-1, -1), REGULAR, 7.5, 10),
            ("FONT", (0, 0), (-1, 0), BOLD, 7.5, 10),
            ("TEXTCOLOR", (0, 0), (-1, 0), GREY),
            ("TEXTCOLOR", (0, 1), (-1, -1), INK),
            ("ALIGN", (numbers.start, 0), (last, -1), "RIGHT"),
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
            ("LINEBELOW", (0, 1), (-1, -1), 0.3, RULE),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
            ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ]
    )
    if summed:
        style.add("FONT", (0, -1), (-1, -1), BOLD, 7.5, 10)
        style.add("LINEABOVE", (0, -1), (-1, -1), 0.8, INK)
    return style


def facts_style(*, around: bool = False) -> TableStyle:
    """Names and what they are; `around`: of the table that only places others side by side."""
    flush = [("LEFTPADDING", (0, 0), (0, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    if around:
        sides = ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING")
        return TableStyle([*flush, *((side, (0, 0), (-1, -1), 0) for side in sides)])
    return TableStyle(
        [
            *flush,
            ("FONT", (0, 0), (0, -1), REGULAR, 8.5, 11.5),
            ("FONT", (1, 0), (1, -1), REGULAR, 8.5, 11.5),
            ("TEXTCOLOR", (0, 0), (0, -1), GREY),
            ("TEXTCOLOR", (1, 0), (1, -1), INK),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ]
    )


def box_style() -> TableStyle:
    """The amounts, the total largest."""
    return TableStyle(
        [
            ("BACKGROUND", (0, 0), (-1, -1), WASH),
            ("FONT", (0, 0), (-1, -2), REGULAR, 8.5, 12),
            ("FONT", (0, -1), (-1, -1), BOLD, 12, 16),
            ("TEXTCOLOR", (0, 0), (-1, -1), INK),
            ("ALIGN", (1, 0), (1, -1), "RIGHT"),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("LINEABOVE", (0, -1), (-1, -1), 0.8, INK),
            ("LEFTPADDING", (0, 0), (-1, -1), 8),
            ("RIGHTPADDING", (0, 0), (-1, -1), 8),
            ("TOPPADDING", (0, -1), (-1, -1), 5),
            ("BOTTOMPADDING", (0, -1), (-1, -1), 7),
        ]
    )
