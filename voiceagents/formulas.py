"""Would a spreadsheet run this cell as a formula?

Excel, LibreOffice and Google Sheets take a cell of a CSV file for a formula when it starts with one of a few
characters, so a contact's name could run code on the machine of whoever opens an export. `neutralized` puts an
apostrophe in front of such a cell and `restored` takes exactly that one off again: text survives the round trip, and
the plus of a phone number with it.
"""

import re

# Full-width forms count too: spreadsheets of East Asian locales read them as their ASCII twins.
_RISKY = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NEUTRALIZED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")


def neutralized(cell: str) -> str:
    """The cell as it may be written to a CSV file.

    >>> neutralized("=1+1"), neutralized("Ana")
    ("'=1+1", 'Ana')
    """
    return "'" + cell if _RISKY.match(cell) else cell


def restored(cell: str) -> str:
    """What stood in the cell before `neutralized`, here or in any other program that guards its exports like this.

    >>> restored("'+12025550143"), restored("'tis")
    ('+12025550143', "'tis")
    """
    return cell[1:] if _NEUTRALIZED.match(cell) else cell
