import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import BadInput
from client.service.job_array import array_orders
from client.service.operator import JobOrder
from client.service.parameters import Parameters, read_parameters


def read(tmp_path: Path, text: str | bytes) -> Parameters:
    path = tmp_path / "cases"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_parameters(path)


def test_csv_has_a_row_for_each_job(tmp_path: Path) -> None:
    found = read(tmp_path, b'\xef\xbb\xbfmass, name\r\n1.5,"a, ""b""\nc"\r\n\r\n2,\r\n')
    assert found.columns == ("mass", "name")
    assert [dict(row.texts) for row in found.rows] == [{"mass": "1.5", "name": 'a, "b"\nc'}, {"mass": "2", "name": ""}]
    assert [row.line for row in found.rows] == [3, 5]


def test_json_lines_keep_what_kind_of_value_each_is(tmp_path: Path) -> None:
    found = read(tmp_path, '{"a": 1, "b": "x"}\n\n{"b": null, "a": true}\n')
    assert [dict(row.texts) for row in found.rows] == [{"a": "1", "b": "x"}, {"a": "true", "b": ""}]
    assert found.rows[1].values == {"a": True, "b": None}
    assert [row.line for row in found.rows] == [1, 3]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a,b\n1,2\n3\n", "line 3, column b", "1 values for 2 columns"),
        ("a,b\n1,2,3\n", "line 2, column column 3", "3 values for 2 columns"),
        ("a,a\n1,2\n", "line 1, column a", "two columns"),
        ("a,n\n1,2\n", "line 1, column n", "number of the row"),
        ("a,\n1,2\n", "line 1, column column 2", "a name has"),
        ("a b\n1\n", "line 1, column a b", "a name has"),
        ('a\n"x\n', "line 2", "not CSV"),
        ("a\nx\0y\n", "line 2, column a", "NUL"),
        ("a\n", "", "no rows"),
        ("", "", "no rows"),
        ('{"a": 1}\n{"a": }\n', "line 2, character 7", "not JSON"),
        ('{"a": 1}\n{"b": 1}\n', "line 2, column a", "missing"),
        ('{"a": 1}\n{"a": 1, "b": 2}\n', "line 2, column b", "no such column"),
        ('{"a": 1}\n[1]\n', "line 2", "not an object"),
        ('{"a": [1]}\n', "line 1, column a", "only texts"),
        ('{"a": 1, "a": 2}\n', "line 1", "twice"),
        ('{"a": "\\ud800"}\n', "line 1, column a", "surrogate"),
        (b"a\n\xff\n", "line 2", "UTF-8"),
    ],
)
def test_a_bad_place_is_named(tmp_path: Path, text: str | bytes, where: str, what: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, text)
    assert refused.value.where.endswith(where)
    assert what in refused.value.what


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read_parameters(tmp_path / "none.csv")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=5))
def test_any_text_comes_through_both_kinds_of_file(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    folder = tmp_path_factory.mktemp("parameters")
    content = io.StringIO(newline="")
    writer = csv.writer(content, quoting=csv.QUOTE_ALL)
    writer.writerows([["v"], *([value] for value in values)])
    lines = "".join(json.dumps({"v": value}) + "\n" for value in values)
    for text in (content.getvalue(), lines):
        assert [row.texts["v"] for row in read(folder, text).rows] == values


def array(tmp_path: Path, text: str, **wishes: object) -> list[JobOrder]:
    path = tmp_path / "cases"
    path.write_text(text)
    raw = bool(wishes.pop("raw", False))
    return array_orders(JobOrder("run.sh", **wishes), path, raw=raw)  # type: ignore[arg-type]


def test_each_row_is_an_order(tmp_path: Path) -> None:
    text = "seed,name\n7,a b\n8,$(id)\n"
    expected = {"seed": "{seed}", "row": "{n}", "more": ["{seed}"]}
    orders = array(tmp_path, text, arguments="{n} {name}", title="the {name}", expected=expected)
    assert [order.arguments for order in orders] == ["0 'a b'", "1 '$(id)'"]
    assert [order.title for order in orders] == ["the a b", "the $(id)"]
    assert orders[1].expected == {"seed": "8", "row": 1, "more": ["{seed}"]}
    assert {order.literal for order in orders} == {True}


def test_a_value_that_looks_like_a_place_is_none(tmp_path: Path) -> None:
    [order] = array(tmp_path, "name\n{n}\n", arguments="{name}")
    assert order.arguments == "'{n}'"
    assert order.literal


@pytest.mark.parametrize(
    ("arguments", "said"),
    [("{sed}", "no column sed"), ("x", "all jobs would be the same"), ("$(run {seed})", "could become shell")],
)
def test_a_useless_or_unsafe_array_is_refused(tmp_path: Path, arguments: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        array(tmp_path, "seed\n1\n", arguments=arguments)


def test_raw_arrays_are_shell_text(tmp_path: Path) -> None:
    [order] = array(tmp_path, "words\na b\n", arguments="{words}", raw=True)
    assert order.arguments == "a b"
