"""Fuzzes one target under libFuzzer: `python -m tests.fuzz TARGET [-runs=N] [-max_total_time=SECONDS]`.

Its last lines say how many cases there were; a defect ends it with another code than 0 and shows the bytes.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["client"]):
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS

#: longest case in bytes
MAX_LEN = 4096


def main(argv: list[str]) -> None:
    """Fuzz until the limit that the arguments set; does not return."""
    name, *limits = argv
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as corpus:
        for number, seed in enumerate(SEEDS.get(name, ())):
            Path(corpus, str(number)).write_bytes(seed)
        # A case that takes ten seconds or a gigabyte is a defect as well.
        words = [sys.argv[0], corpus, f"-max_len={MAX_LEN}", "-timeout=10", "-rss_limit_mb=1500", *limits]
        atheris.Setup([*words, f"-artifact_prefix={tempfile.gettempdir()}/"], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
