"""What the end-to-end tests share: one site for each module, since a site takes seconds to come up."""

from collections.abc import Iterator

import pytest

from tests.helpers.program import Site, open_site, processes_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A local site, and afterwards the check that nothing of it is left."""
    folder = tmp_path_factory.mktemp("site")
    with open_site(folder) as running:
        yield running
    assert processes_of(folder) == []
