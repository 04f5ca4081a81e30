import pytest

from client.appliance.contextual.crypt import salt_from, sha512_crypt


@pytest.mark.parametrize(
    ("password", "salt", "digest"),
    [
        # By glibc 2.36.
        (
            "Hello world!",
            "saltstring",
            "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        ("", "a", "Z6IPkDduHdwavesVY2NFMpOHkigshxPYdhfLg0D3A7/XFQcso9RV2E8qczyJ2su.dj6RRLaTpvgwN1rZfK0I9."),
        (
            "ü" * 33,
            "abcdefgh12345678",
            "YFqXK1C2RlK3nSflDJcn/fSQSZ2t8nLGHvzcv3uDMcoq7gYT.IlxzV287LFODxTY1h3HUcc.CcVPsgSiWKMsg0",
        ),
        ("y" * 65, "./", "CM1OyqQa0PVAFLaEVAlIFxGjzux3ZNbip43bV8Pkth/fLlM5utPbemnC2kcW/ARhjrPrFbul992GCWsUwRrZZ."),
    ],
)
def test_it_is_what_other_programs_compute(password: str, salt: str, digest: str) -> None:
    assert sha512_crypt(password, salt) == f"$6${salt}${digest}"


def test_a_salt_has_letters_that_are_allowed() -> None:
    assert salt_from(bytes(range(48, 64)) * 2) == "klmnopqrstuvwxyz"
