"""What is to become of each element of a file: the rules that :func:`rayline.dicom.rewriting.rewrite` follows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

S = TypeVar("S")


class Treatment:
    """What becomes of an element."""


class _Named(Treatment):
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: It stays as it is; a sequence stays, and the same rules hold in its items.
KEEP: Final = _Named("KEEP")
#: It goes.
REMOVE: Final = _Named("REMOVE")
#: It stays with zero length.
EMPTY: Final = _Named("EMPTY")


class Element(NamedTuple):
    """An element whose value is to be replaced.

    Attributes:
        vr: as it is written, or that of PS3.6 where it is not, or is UN.
        value: the raw bytes, padding included.
        depth: how many sequences it lies in.
    """

    tag: int
    vr: str
    value: bytes
    depth: int


@dataclass(frozen=True)
class Replace(Treatment, Generic[S]):
    """Its value becomes what a function says, given the element and the file's scope; None removes it.

    A sequence under such a tag has no value to replace, and is removed.

    Attributes:
        vr: the VR to write, that of the element where it is None.
    """

    function: Callable[[Element, S], bytes | None]
    vr: str | None = None


class Treatments(NamedTuple):
    """The rules of one level.

    Attributes:
        of: treatment by tag, for every tag of an even group.
        private: treatment of a tag of an odd group, given its private creator (PS3.5 §7.8.1), stripped; asked
            for the creator's own element too.
    """

    of: Mapping[int, Treatment]
    private: Callable[[int, bytes], Treatment]


@dataclass(frozen=True)
class Descend(Treatment):
    """A sequence stays; in its items these rules hold, or those of its own level where there are none.

    What is no sequence under such a tag goes.
    """

    treatments: Treatments | None = None


@dataclass(frozen=True)
class Insertion:
    """An element to be written at the top level, in place of what stands there.

    Attributes:
        value: raw bytes, or the items of a sequence.
    """

    tag: int
    vr: str
    value: "bytes | tuple[tuple[Insertion, ...], ...]"


@dataclass(frozen=True)
class FileMeta:
    """What is read of the file meta information (PS3.10 §7.1), stripped of padding."""

    transfer_syntax_uid: str
    sop_class_uid: bytes
    sop_instance_uid: bytes


@dataclass(frozen=True)
class Plan(Generic[S]):
    """What is to be done with one file.

    Attributes:
        scope: handed to every :class:`Replace` function.
        sop_class_uid: for the new file meta information.
        sop_instance_uid: likewise.
        insertions: in any order.
    """

    treatments: Treatments
    scope: S
    sop_class_uid: bytes
    sop_instance_uid: bytes
    insertions: tuple[Insertion, ...] = ()


class Rules(Protocol[S]):
    """Decides what is done with each file.

    Attributes:
        facts: tags of the top level whose values :meth:`begin` wants to know.
    """

    @property
    def facts(self) -> frozenset[int]:
        """Tags of the top level whose values :meth:`begin` wants to know."""

    def begin(self, meta: FileMeta, facts: Mapping[int, bytes]) -> Plan[S]:
        """Plan the rewriting of a file, given the values of ``facts`` as far as they are there, stripped.

        Raises:
            RejectedEvent: the file is refused.
        """
