"""What gives way: pure, and in a real store on disk under any order of events."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from client.appliance.choice import Choice
from client.appliance.errors import ImageNeeded
from client.appliance.eviction import Kept, victims
from client.appliance.store import Store
from client.appliance.target import Target
from tests.helpers.clock import FakeClock

DIGESTS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(12)]
KEPT = some.lists(
    some.builds(
        Kept,
        some.sampled_from(DIGESTS),
        some.integers(0, 1000),
        some.integers(0, 20),
        is_needed=some.booleans(),
        is_over=some.booleans(),
    ),
    unique_by=lambda one: one.sha256,
)


@given(KEPT, some.integers(-10, 5000))
def test_never_what_is_needed_and_below_the_limit_when_possible(kept: list[Kept], limit: int) -> None:
    gone = victims(kept, limit)
    left = [one for one in kept if one.sha256 not in gone]
    assert len(set(gone)) == len(gone)
    assert {one.sha256 for one in kept if one.is_needed}.isdisjoint(gone)
    assert not any(one.is_over and not one.is_needed for one in left)
    total = sum(one.size_bytes for one in left)
    assert total <= limit or all(one.is_needed for one in left)


@given(KEPT, some.integers(0, 5000))
def test_the_least_recently_used_go_first_and_no_more_than_needed(kept: list[Kept], limit: int) -> None:
    by_digest = {one.sha256: one for one in kept}
    gone = [by_digest[sha256] for sha256 in victims(kept, limit)]
    for_room = [one for one in gone if not one.is_over]
    assert [one.used for one in for_room] == sorted(one.used for one in for_room)
    if for_room:
        left = sum(one.size_bytes for one in kept) - sum(one.size_bytes for one in gone)
        assert left + for_room[-1].size_bytes > limit


SIZE = 10


class StoreUnderAnyEvents(RuleBasedStateMachine):
    """Versions come, VMs are made over them and go, users remove, room gets less; a new program starts in between."""

    @initialize()
    def open(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="vc-store-"))
        self.vms: dict[str, set[str]] = {}
        self.pinned: set[str] = set()
        self.limit = 60
        self.restart()

    @rule()
    def restart(self) -> None:
        self.store = Store(self.base / "appliances", self.base / "vms", FakeClock(), self.limit)

    @rule(
        name=some.sampled_from("ab"),
        version=some.integers(1, 3),
        files=some.sets(some.sampled_from(DIGESTS[:8]), min_size=1, max_size=4),
    )
    def fetch(self, name: str, version: int, files: set[str]) -> None:
        manifest = Target("m", SIZE, hashlib.sha256(f"{name}{version}{sorted(files)}".encode()).hexdigest())
        choice = Choice(
            name, str(version), manifest, {sha256[:8]: Target(sha256[:8], SIZE, sha256) for sha256 in files}
        )
        self.store.known.add(choice)
        with self.store.holding(choice.targets):
            before = self.there()
            self.store.make_room(SIZE * len(choice.targets), choice.targets)
            assert before & {target.sha256 for target in choice.targets} <= self.there()
            for target in choice.targets:
                part = self.store.objects.part(target.sha256)
                part.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(b"x" * SIZE)
                self.store.objects.take_in(part, target.sha256, "file")
        self.store.book.used(target.sha256 for target in choice.targets)
        self.newest = choice

    @precondition(lambda self: hasattr(self, "newest"))
    @rule(vm=some.sampled_from(["work-1", "own-2"]))
    def define_vm(self, vm: str) -> None:
        files = {target.sha256 for target in self.newest.files.values()}
        if not files <= self.there():
            return
        folder = self.base / "vms" / vm
        folder.mkdir(parents=True, exist_ok=True)
        paths = [str(self.store.objects.place(sha256, "file")) for sha256 in sorted(files)]
        (folder / "spec.json").write_text(f'{{"media": "{" ".join(paths)}"}}')
        self.vms[vm] = files

    @rule(vm=some.sampled_from(["work-1", "own-2"]))
    def destroy_vm(self, vm: str) -> None:
        shutil.rmtree(self.base / "vms" / vm, ignore_errors=True)
        self.vms.pop(vm, None)

    @precondition(lambda self: hasattr(self, "newest"))
    @rule()
    def pin(self) -> None:
        files = {target.sha256 for target in self.newest.targets}
        if files <= self.there():
            self.store.known.pin("project", "the project", files)
            self.pinned = files

    @precondition(lambda self: hasattr(self, "newest"))
    @rule()
    def remove(self) -> None:
        try:
            self.store.remove(self.newest)
        except ImageNeeded as needed:
            assert needed.who
        else:
            del self.newest

    @rule(limit=some.integers(0, 150))
    def tidy(self, limit: int) -> None:
        self.limit = self.store.limit_bytes = limit
        self.store.tidy()
        rest = self.there() - self.needed()
        manifests = {choice.id for choice in self.store.known.choices()}
        assert SIZE * len(self.there()) <= limit or rest <= manifests

    @invariant()
    def what_is_needed_is_there(self) -> None:
        if hasattr(self, "store"):
            assert self.needed() <= self.there()

    def needed(self) -> set[str]:
        return set().union(self.pinned, *self.vms.values())

    def there(self) -> set[str]:
        return set(self.store.objects.sizes())

    def teardown(self) -> None:
        if hasattr(self, "base"):
            shutil.rmtree(self.base)


StoreUnderAnyEvents.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestStoreUnderAnyEvents = StoreUnderAnyEvents.TestCase
