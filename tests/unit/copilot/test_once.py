from client.copilot.once import Once


def test_a_thing_is_new_once() -> None:
    once = Once()
    assert [once.is_new("a", "x"), once.is_new("a", "x"), once.is_new("a", "y"), once.is_new("b", "x")] == [
        True,
        False,
        True,
        True,
    ]


def test_what_is_repeated_is_remembered_and_the_rest_is_bounded() -> None:
    once = Once(limit=2)
    assert [once.is_new(name) for name in ("a", "b", "a", "c", "a", "b")] == [True, True, False, True, False, True]
