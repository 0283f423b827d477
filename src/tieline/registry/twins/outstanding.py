"""Which devices have not yet reported all that is desired of them: seen in Documents anew at every start."""

from collections import defaultdict
from collections.abc import Sequence

from tieline.ports import Documents
from tieline.registry.twins import reads
from tieline.registry.twins.model import Twin, delta


class Outstanding:
    """In every process the whole of it, a moment behind Documents: whoever hears a device knows what to tell it."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._names: defaultdict[str, set[str]] = defaultdict(set)

    def of(self, ven_id: str) -> Sequence[str]:
        """The names of the VEN's twins that differ from what is desired."""
        return sorted(self._names.get(ven_id, ()))

    async def watch(self) -> None:
        """For ever."""
        async for ven_id, name, twin in reads.follow(self._documents):
            self._note(ven_id, name, twin)

    def _note(self, ven_id: str, name: str, twin: Twin) -> None:
        if delta(twin.desired, twin.reported):
            self._names[ven_id].add(name)
        elif ven_id in self._names:
            self._names[ven_id].discard(name)
            if not self._names[ven_id]:
                del self._names[ven_id]
