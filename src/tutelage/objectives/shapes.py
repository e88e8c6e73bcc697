"""Names of the shapes of age rewards, for configurations; the equations are in `ages.py`."""

from typing import Literal

Shape = Literal["difference", "ratio", "raw", "binary"]
