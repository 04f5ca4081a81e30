import os
from pathlib import Path

import pytest

from client.copilot.last_lines import MAX_CHARS, last_lines, last_printed


def test_the_last_lines_of_standard_output_are_told_and_else_those_of_standard_error(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_text("\n".join(f"line {number}" for number in range(5000)) + "\n\n \x1b[31mend")
    (tmp_path / "stderr").write_text("trouble\n")
    said = last_printed(tmp_path).splitlines()
    assert (said[0], said[-2:]) == ("line 4991", ["line 4999", "?[31mend"])
    (tmp_path / "stdout").write_text("\n")
    assert last_printed(tmp_path) == "trouble"
    (tmp_path / "stderr").write_bytes(b"\xff" * 100_000)
    assert 0 < len(last_printed(tmp_path)) <= MAX_CHARS


@pytest.mark.parametrize("kind", ["missing", "link", "second name", "pipe", "folder"])
def test_nothing_is_read_of_what_is_not_the_jobs_own_file(tmp_path: Path, kind: str) -> None:
    secret, path = tmp_path / "secret", tmp_path / "stdout"
    secret.write_text("secret")
    make = {"link": path.symlink_to, "second name": path.hardlink_to}.get(kind)
    if make is not None:
        make(secret)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    assert last_lines(path) == []
