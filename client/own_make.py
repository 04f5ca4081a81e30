"""Makes an own VM's folder, disk and context medium, and takes them away. Blocking; nothing half-made stays.

Its description is written last. So a kill at any moment leaves a whole VM, or rests that the next start removes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from client.appliance.contextual.seed import build_seed, remove_seed
from client.appliance.contextual.template import load_template
from client.appliance.contextual.values import check_values
from client.appliance.formats import Format, look_at
from client.appliance.ovf import Asked
from client.commands import CreateVm
from client.empty_disk import empty_disk
from client.errors import BadInput
from client.own_vm import (
    LEAST_MEMORY_MIB,
    MOST_CPUS,
    MOST_MEMORY_MIB,
    USUAL_CPUS,
    USUAL_MEMORY_MIB,
    Boots,
    Network,
    OwnStore,
    OwnVm,
    Wish,
    build_text,
    fault_of_size,
    parse_text,
)
from client.paths import Paths, write_atomic

TEMPLATES: Final = Path(__file__).resolve().parents[1] / "resources" / "templates"
#: what drivers take as it is
_BOOTS: Final = {Format.ISO: Boots.CD, Format.RAW: Boots.DISK, Format.QCOW2: Boots.DISK}
_GIB: Final = 1 << 30


def make_vm(store: OwnStore, paths: Paths, vm_id: str, wanted: CreateVm, image_name: str = "") -> OwnVm:
    """Make it; it is there when this returns.

    Args:
        image_name: as the volunteer knows it; empty: its file's.

    Raises:
        BadInput: what was wanted does not fit.
        ImageRefused, BadTemplate, BadContextValues: the image, the template, or what was filled in cannot be used.
        OSError: a file cannot be written.
    """
    vm = plan_vm(vm_id, wanted, image_name)
    try:
        store.begin(vm_id)
    except FileExistsError as error:
        raise BadInput(
            f"the name {wanted.name!r}", "there is a virtual machine of that name", "choose another"
        ) from error
    try:
        if vm.boots is Boots.CD and vm.disk_gib:
            write_atomic(store.disk(vm_id), empty_disk(vm.disk_gib * _GIB))
        if wanted.template:
            template = load_template(template_path(wanted.template))
            build_seed(paths.context(vm_id), template, wanted.values, vm_id)
        store.save(vm)
    except BaseException:
        unmake_vm(store, paths, vm_id)
        raise
    return vm


def unmake_vm(store: OwnStore, paths: Paths, vm_id: str) -> None:
    """Take away all that `make_vm` made; what is not there is fine."""
    remove_seed(paths.context(vm_id))
    store.forget(vm_id)


def plan_vm(vm_id: str, wanted: CreateVm, image_name: str = "") -> OwnVm:
    """What would be made; looks at the image and the template's head only.

    Raises:
        BadInput, ImageRefused, BadTemplate
    """
    path = Path(wanted.image)
    if not path.is_absolute():
        raise BadInput("the image", f"{wanted.image!r} does not say where it is", "give its place from the root on")
    name = check_wanted(vm_id, wanted)
    vm = OwnVm(
        vm_id=vm_id,
        name=wanted.name,
        image=path,
        image_name=image_name or path.name,
        boots=boots_of(path),
        cpus=wanted.cpus,
        memory_mib=wanted.memory_mib,
        disk_gib=wanted.disk_gib,
        network=Network(wanted.network),
        template=name,
        wish=Wish.RUN if wanted.starts else Wish.REST,
    )
    if vm.boots is Boots.DISK and vm.disk_gib:
        what = "the image is a disk already, and keeps its own size"
        raise BadInput("the disk", what, "leave it out; one is made only for a virtual machine that boots from a CD")
    _check_kept(vm)
    return vm


def sized(wanted: CreateVm, asked: Asked | None = None) -> CreateVm:
    """The same with its size decided: what was said, else what the image's package asks for, else the usual.

    A package that asks for what no VM here can have gets the nearest that one can.
    """
    cpus = asked.cpus if asked else 0
    memory_mib = asked.memory_mib if asked else 0
    return replace(
        wanted,
        cpus=wanted.cpus or min(cpus, MOST_CPUS) or USUAL_CPUS,
        memory_mib=wanted.memory_mib
        or (min(max(memory_mib, LEAST_MEMORY_MIB), MOST_MEMORY_MIB) if memory_mib else USUAL_MEMORY_MIB),
    )


def check_wanted(vm_id: str, wanted: CreateVm) -> str:
    """Look at all but the image, before it is taken in. Returns the template's name.

    Raises:
        BadInput, BadTemplate, BadContextValues
    """
    name = ""
    if wanted.template:
        template = load_template(template_path(wanted.template))
        check_values(template, wanted.values)
        name = template.name
    if wanted.network not in set(Network):
        raise BadInput("the network", f"there is no {wanted.network!r}", "choose none or nat")
    size = OwnVm(vm_id, wanted.name, Path("/"), "", Boots.CD, wanted.cpus, wanted.memory_mib, wanted.disk_gib)
    if fault := fault_of_size(size):
        raise BadInput("its size", fault, "choose another one")
    return name


def boots_of(path: Path) -> Boots:
    """What a VM boots from that has this image.

    Raises:
        ImageRefused: it cannot be read, or is no image.
        BadInput: it is one of a form that no hypervisor here takes as it is.
    """
    found = look_at(path)
    if found.format not in _BOOTS:
        what = f"a virtual machine cannot boot from {found.format.value} as it is"
        raise BadInput(str(path), what, "make a qcow2 disk of it: qemu-img convert -O qcow2 FROM TO")
    return _BOOTS[found.format]


def template_path(words: str) -> Path:
    """The file of a template that comes with the program, by name, or of any other."""
    own = TEMPLATES / f"{words}.toml"
    return own if "/" not in words and own.is_file() else Path(words)


def _check_kept(vm: OwnVm) -> None:
    """What is written must be read again: a name may hold what no line of text holds."""
    try:
        parse_text(build_text(vm).encode().decode(), vm.vm_id)
    except ValueError as error:
        raise BadInput(str(vm.image), "its name or its folder's has signs that no text has", "rename it") from error
