"""What a project sees of a computer that is attached to it; every face says it before the person agrees."""

from typing import Final

SEES: Final = (
    "Attaching is your consent: the project sees what kind of computer this is (processor, memory, disk), its internet"
    " address, when it works and what its jobs give, and knows it by a key that is made for this project alone. It does"
    " not see your name, your files or your other programs."
)
