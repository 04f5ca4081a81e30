"""BOINC's preference files: what is taken, what is not, and that hostile ones do no harm."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import BadInput
from client.preferences.boinc_import import Left, Taken, import_boinc, report
from client.preferences.boinc_xml import MOST_BYTES, MOST_DEEP, Element, parse_boinc, read_boinc
from client.preferences.spec import BY_KEY, TABLE, Value
from client.preferences.values import check
from client.preferences.week_text import parse_week

DATA = Path(__file__).resolve().parents[2] / "data" / "boinc"
MONDAY = datetime(2026, 11, 16, tzinfo=UTC)


def values(text: str, place: str = "") -> dict[str, Value]:
    taken, _ = import_boinc([parse_boinc(f"<global_preferences>{text}</global_preferences>".encode())], place)
    return {one.key: one.value for one in taken}


def reasons(text: str) -> dict[str, str]:
    _, left = import_boinc([parse_boinc(f"<global_preferences>{text}</global_preferences>".encode())])
    return {one.tag: one.why for one in left}


def test_a_file_as_boinc_writes_it() -> None:
    taken, left = import_boinc([read_boinc(DATA / "global_prefs_override.xml")])
    week = "mon-fri 00:00-08:00 18:30-24:00, sat"
    assert parse_week(str({one.key: one.value for one in taken}["when.week"])) == parse_week(week)
    assert {one.key: one.value for one in taken if one.key != "when.week"} == {
        "when.on_battery": True,
        "when.in_use": False,
        "memory.keep": True,
        "when.idle_after_min": 3,
        "when.stop_after_idle_min": 60,
        "when.most_others_percent": 30,
        "when.most_others_percent_idle": 30,
        "processor.share_percent": 50,
        "processor.share_percent_idle": 100,
        "processor.percent": 66,
        "processor.percent_idle": 66,
        "memory.percent": 33,
        "memory.percent_idle": 90,
        "disk.most_mib": 20992,
        "disk.most_percent": 90,
        "disk.least_free_mib": 103,
        "network.down_kib_per_s": 0,
        "network.up_kib_per_s": 25,
        "network.month_mib": 3000,
        "network.week": "mon-sat, sun 06:15-22:00",
    }
    assert {one.tag for one in left} == {
        "run_gpu_if_user_active",
        "confirm_before_connecting",
        "hangup_if_dialed",
        "dont_verify_images",
        "work_buf_min_days",
        "work_buf_additional_days",
        "cpu_scheduling_period_minutes",
        "disk_interval",
        "vm_max_used_pct",
        "network_wifi_only",
    }
    lines = list(report(taken, left))
    assert "cpu_usage_limit = 66.600000: processor.percent = 66 %" in lines
    assert all(line.endswith(".") or " = " in line for line in lines)


def test_programs_of_cc_config() -> None:
    taken, left = import_boinc([read_boinc(DATA / "cc_config.xml")], programs=("game", "mpv"))
    assert taken == [Taken("exclusive_app", "Game.exe, blender", "when.programs", ("game", "mpv", "blender"))]
    assert [one.tag for one in left] == ["exclusive_gpu_app"]
    empty = import_boinc([parse_boinc(b"<cc_config><options/></cc_config>")])
    assert empty == ([], [Left("exclusive_app", "the file names none")])


def test_what_is_not_there() -> None:
    assert values("") == {}
    whole = values("<mod_time>1</mod_time><run_on_batteries/>")
    assert whole == {"when.on_battery": True, "when.in_use": False, "memory.keep": False}
    assert values("<cpu_usage_limit>40</cpu_usage_limit><niu_cpu_usage_limit>0</niu_cpu_usage_limit>") == {
        "processor.percent": 40,
        "processor.percent_idle": 100,
    }


def test_the_last_of_a_tag_counts_as_it_does_in_boinc() -> None:
    assert values("<run_on_batteries>1</run_on_batteries><run_on_batteries>0</run_on_batteries>") == {
        "when.on_battery": False
    }


def test_sections_for_places() -> None:
    text = (
        "<max_cpus>2</max_cpus><venue name='home'><max_cpus>3</max_cpus><run_if_user_active/></venue>"
        "<venue name='work'/>"
    )
    assert values(text) == {"guest.cpus": 2}
    assert "home, work" in reasons(text)["venue"]
    assert values(text, "home") == {
        "guest.cpus": 3,
        "when.in_use": True,
        "when.on_battery": False,
        "memory.keep": False,
    }
    with pytest.raises(BadInput) as caught:
        values(text, "school")
    assert caught.value.remedy == "choose one of home, work"


def test_a_later_file_holds_over_an_earlier_one() -> None:
    whole = parse_boinc(
        b"<global_preferences><mod_time>1</mod_time><cpu_usage_limit>80</cpu_usage_limit><max_cpus>2</max_cpus>"
        b"<niu_cpu_usage_limit>90</niu_cpu_usage_limit>"
        b"<venue name='home'><max_cpus>3</max_cpus></venue></global_preferences>"
    )
    over = parse_boinc(
        b"<global_preferences><cpu_usage_limit>40</cpu_usage_limit><run_if_user_active>1</run_if_user_active>"
        b"</global_preferences>"
    )
    config = read_boinc(DATA / "cc_config.xml")
    nothing = {"when.on_battery": False, "when.in_use": True, "memory.keep": False}
    programs = {"when.programs": ("game", "blender")}
    taken = {one.key: one.value for one in import_boinc([whole, over, config])[0]}
    assert taken == nothing | programs | {"processor.percent": 40, "processor.percent_idle": 40, "guest.cpus": 2}
    taken = {one.key: one.value for one in import_boinc([whole, over], "home")[0]}
    assert taken == nothing | {"processor.percent": 40, "processor.percent_idle": 40, "guest.cpus": 3}


@pytest.mark.parametrize(
    ("start", "end", "week"),
    [
        ("0", "0", "always"),
        ("0", "24", "always"),
        ("24", "0", "never"),
        ("9", "17.5", "09:00-17:30"),
        ("22", "6", "22:00-06:00"),
        ("8.001", "8.002", "never"),
        ("8.002", "8.001", "always"),
        ("22", "0", "22:00-24:00"),
    ],
)
def test_hours(start: str, end: str, week: str) -> None:
    said = values(f"<start_hour>{start}</start_hour><end_hour>{end}</end_hour>")
    assert said == {"when.week": week}


@given(
    st.floats(0, 24).map(lambda hour: round(hour, 2)),
    st.floats(0, 24).map(lambda hour: round(hour, 2)),
    st.integers(0, 6),
    st.integers(0, 7 * 24 * 60 - 1),
)
def test_hours_of_one_day_are_those_that_boinc_takes(start: float, end: float, day: int, minute: int) -> None:
    text = f"<day_of_week>{day}</day_of_week><start_hour>{start}</start_hour><end_hour>{end}</end_hour>"
    week = parse_week(str(values(f"<day_prefs>{text}</day_prefs>")["when.week"]))
    when = MONDAY + timedelta(minutes=minute, seconds=30)
    hour = when.hour + when.minute / 60 + when.second / 3600
    runs = True
    # Other days have no hours of their own, and a day whose hours end as they begin is like them.
    if (when.weekday() + 1) % 7 == day and start != end:
        runs = start <= hour < end if start < end else hour < end or hour >= start
    # BOINC counts in seconds, weeks here in minutes.
    near = min(abs(hour - start), abs(hour - end)) < 1 / 60
    assert near or week.holds(when) == runs


@pytest.mark.parametrize(
    ("text", "tag", "why"),
    [
        ("<run_on_batteries>maybe</run_on_batteries>", "run_on_batteries", "neither 0 nor 1"),
        ("<cpu_usage_limit>nan</cpu_usage_limit>", "cpu_usage_limit", "no number"),
        ("<cpu_usage_limit>-5</cpu_usage_limit>", "cpu_usage_limit", "no number"),
        ("<max_cpus>0</max_cpus>", "max_cpus", "0 says nothing"),
        ("<cpu_usage_limit>0</cpu_usage_limit>", "cpu_usage_limit", "0 says nothing"),
        ("<start_hour>25</start_hour>", "start_hour, end_hour", "no hour"),
        ("<start_hour/>", "start_hour, end_hour", ""),
        ("<moon>1</moon>", "moon", "not known"),
        ("<daily_xfer_limit_mb>x</daily_xfer_limit_mb>", "daily_xfer_limit_mb, daily_xfer_period_days", "no numbers"),
        (
            "<day_prefs><day_of_week>7</day_of_week><end_hour>3</end_hour></day_prefs>",
            "start_hour, end_hour, day_prefs",
            "no day from 0",
        ),
    ],
)
def test_what_is_left_says_why(text: str, tag: str, why: str) -> None:
    if why:
        assert why in reasons(text)[tag]
    else:
        assert tag not in reasons(text)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no XML"),
        (b"<global_preferences>", "no XML"),
        (b"<html/>", "no preferences of BOINC"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><global_preferences>&a;</global_preferences>', "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><global_preferences/>', "document type"),
        (b"<global_preferences>&a;</global_preferences>", "no XML"),
        (b"<a>" * (MOST_DEEP + 1), "more elements"),
        (b"<global_preferences>" + b"<a/>" * 30_000, "more elements"),
        (b" " * (MOST_BYTES + 1), "longer than"),
        (b"\xff\xfe\x00", "no XML"),
    ],
)
def test_files_that_boinc_did_not_write(data: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "prefs.xml"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        read_boinc(path)
    assert why in caught.value.what and "global_prefs_override.xml" in caught.value.remedy


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_boinc(tmp_path / "none.xml")


TAGS = sorted(
    {tag.strip() for spec in TABLE if spec.boinc for tag in spec.boinc.tag.split(",")} | {"max_cpus", "venue"}
)
TEXTS = (
    st.sampled_from(["0", "1", "", "1e308", "1e-308", "-1", "nan", "24", "100"])
    | st.text(max_size=12)
    | st.floats().map(str)
)
LEAVES = st.builds(
    Element, st.sampled_from([*TAGS, "niu_cpu_usage_limit", "day_of_week", "daily_xfer_period_days"]), text=TEXTS
)
ROOTS = st.builds(
    Element,
    st.just("global_preferences"),
    inner=st.lists(LEAVES | st.builds(Element, st.just("day_prefs"), inner=st.lists(LEAVES, max_size=5)), max_size=12),
)


@given(ROOTS)
def test_whatever_is_said_every_value_fits(root: Element) -> None:
    taken, left = import_boinc([root])
    assert {one.key: check(BY_KEY[one.key], one.value) for one in taken} == dict.fromkeys(
        (one.key for one in taken), ""
    )
    assert all(other.why for other in left)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        root = parse_boinc(data)
    except ValueError as error:
        assert str(error)
    else:
        assert root.tag in {"global_preferences", "cc_config"}


def test_every_tag_of_the_table_can_be_imported() -> None:
    number = {tag: values(f"<{tag}>1</{tag}>") for tag in TAGS if "(" not in tag and tag not in {"day_prefs", "venue"}}
    assert [tag for tag, said in number.items() if not said] == []
