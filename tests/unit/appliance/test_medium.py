import io

import pycdlib
import pytest

from client.appliance.medium import build_image

FILES = {"a/b/c.d": b"1", "a/b/UPPER and é": b"2", "plain": b"", "a/x" + "y" * 60: b"3"}


@pytest.mark.parametrize("system", ["rr_path", "joliet_path"])
def test_folders_and_long_names_are_there_in_both_name_systems(system: str) -> None:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(build_image(FILES, "label")))
    for name, content in FILES.items():
        found = io.BytesIO()
        iso.get_file_from_iso_fp(found, **{system: f"/{name}"})
        assert found.getvalue() == content
    iso.close()
