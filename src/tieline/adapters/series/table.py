"""The Delta table: which files it has, one commit with its writer's position, checkpoints, vacuum.

Files are written before and entered here, so that a commit that meets another is tried again without writing anything
twice. Each attempt is made on the version just looked at (`max_commit_retries=0`): deltalake's own retries would let
a position be committed twice, and one file's rows be moved twice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from threading import Lock
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from tieline.adapters.series.failures import told
from tieline.adapters.series.files import File, announced, entered, listed, struck
from tieline.adapters.series.places import Place
from tieline.base.errors import Broken, NotFound, Unready

_MONTH = pa.field("month", pa.string(), nullable=False)
_CONFIGURATION = {
    "delta.logRetentionDuration": "interval 7 days",
    "delta.deletedFileRetentionDuration": "interval 7 days",
}
_BY_HAND = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)  # they must be synced
_ATTEMPTS = 100
_NEWS_ROWS = 2_000_000  # as many at once
_MARGIN = timedelta(days=1)  # before a file may be gone
_CHECKPOINT_EVERY = 100
_REOPEN_S = 3600.0  # entries are swept a week after a checkpoint: one who slept so long must not wait for the next one


class Table:
    """Two handles, so that no reader waits for a writer. Any thread may call."""

    def __init__(self, place: Place, shape: pa.Schema) -> None:
        self._place, self._shape = place, shape
        self._schema = pa.schema([*shape, _MONTH])
        self._reading, self._writing = Lock(), Lock()
        self._reader: DeltaTable | None = None
        self._writer: DeltaTable | None = None
        self._opened = 0.0
        self._listed_version = -1
        self._files: dict[str, File] = {}
        self._settled = -1

    # --- what there is ---

    def files(self) -> list[File]:
        """The files of the newest version, commits of other processes included."""
        return self._listed()[1]

    def version(self) -> int:
        return self._listed()[0]

    def _listed(self) -> tuple[int, list[File]]:
        with self._reading:
            table = self._fresh()
            if table.version() != self._listed_version:
                self._files = listed(pa.table(table.get_add_actions(flatten=True)), self._files)
                self._listed_version = table.version()
            return self._listed_version, list(self._files.values())

    def news(self, after: int, retention: timedelta) -> tuple[int, list[File]]:
        """A version, and the files whose rows came after another; all there are, where the log no longer says or what
        was merged since may be gone."""
        newest, files = self._listed()
        if after == newest:
            return newest, []
        try:
            version, came = self._came(after, newest)
        except NotFound:
            return newest, files
        here, oldest = {file.path for file in files}, time.time() - (retention - _MARGIN).total_seconds()
        if any(at < oldest and file.path not in here for at, file in came):
            return newest, files
        return version, [file for _, file in came]

    def _came(self, after: int, newest: int) -> tuple[int, list[tuple[float, File]]]:
        """How far the log was read, and what its entries brought; they are synced, for who acts on them must not
        outlive them. Raises `NotFound` where one is gone, or the table was put back to an older state."""
        came: list[tuple[float, File]] = []
        version = after
        with told(f"reading the log of the table at {self._place.url}"):
            while version == after or (version < newest and sum(file.rows for _, file in came) < _NEWS_ROWS):
                version += 1
                came += announced(self._place.entry(version))
            self._place.settle_log(after + 1, version)
        return version, came

    def position(self, writer: str) -> int:
        with self._reading:
            return self._fresh().transaction_version(writer) or 0

    def _fresh(self) -> DeltaTable:
        with told(f"reading the table at {self._place.url}"):
            if self._reader is None or time.monotonic() - self._opened > _REOPEN_S:
                self._reader, self._opened = self._open(), time.monotonic()
            elif self._place.has_entry(self._reader.version() + 1):
                self._reader.update_incremental()
            return self._reader

    def has(self, files: Sequence[File]) -> bool:
        return {file.path for file in files} <= {file.path for file in self.files()}

    # --- changing it ---

    def commit(
        self,
        new: Sequence[File],
        *,
        old: Sequence[File] = (),
        mark: tuple[str, int] | None = None,
        after: int | None = None,
    ) -> bool:
        """Enter the new files and strike out the old in one step; durable when it returns.

        False, and nothing done, when the writer of `mark` is already at or past its position, or is not at `after`
        (None: wherever), or an old file is gone.
        """
        with self._writing, told(f"writing to the table at {self._place.url}"):
            for _ in range(_ATTEMPTS):
                table = self._newest()
                here = self._paths(table) if old else set()
                if mark and not _follows(table.transaction_version(mark[0]) or 0, after, mark[1]):
                    return False
                if old and not here.issuperset(file.path for file in old):
                    return False
                if self._try(table, new, old, mark):
                    self._settle(table)
                    return True
            raise Unready(f"{_ATTEMPTS} commits of others came before ours at {self._place.url}: fewer writers")

    def _try(self, table: DeltaTable, new: Sequence[File], old: Sequence[File], mark: tuple[str, int] | None) -> bool:
        before = table.version()
        actions = [entered(file, self._shape, news=not old) for file in new] + [struck(file) for file in old]
        marks = [Transaction(*mark)] if mark else None
        properties = CommitProperties(app_transactions=marks, max_commit_retries=0)
        try:
            table.create_write_transaction(
                actions,
                "append",
                self._schema,
                ["month"],
                commit_properties=properties,
                post_commithook_properties=_BY_HAND,
            )
        except CommitFailedError:
            table.update_incremental()
            if table.version() == before:
                raise
            # A PUT whose answer was lost is sent again and finds itself there: then it was ours.
            return bool(new) and self._paths(table).issuperset(file.path for file in new)
        table.update_incremental()
        return True

    def _newest(self) -> DeltaTable:
        if self._writer is None:
            self._writer = self._open()
        else:
            self._writer.update_incremental()
        return self._writer

    def _paths(self, table: DeltaTable) -> set[str]:
        paths: list[Any] = pa.table(table.get_add_actions())["path"].to_pylist()
        return set(paths)

    def _settle(self, table: DeltaTable) -> None:
        self._place.settle_log(max(self._settled + 1, table.version() - _CHECKPOINT_EVERY), table.version())
        self._settled = table.version()

    # --- keeping it ---

    def checkpoint(self) -> None:
        """Now and then, so that opening reads few entries of the log."""
        if self._settled % _CHECKPOINT_EVERY == 0:
            with self._writing, told(f"checkpointing the table at {self._place.url}"):
                self._checkpoint(self._newest())

    def sweep(self, retention: timedelta) -> None:
        """Checkpoint the log, drop what it no longer needs, delete files out of the table for `retention`."""
        hours = int(retention.total_seconds() // 3600)
        with self._writing, told(f"sweeping the table at {self._place.url}"):
            table = self._newest()
            if table.vacuum(hours, dry_run=True, full=True):
                table.vacuum(hours, dry_run=False, full=True, post_commithook_properties=_BY_HAND)
                table.update_incremental()
                self._settle(table)
            self._checkpoint(table)
            table.cleanup_metadata()

    def _checkpoint(self, table: DeltaTable) -> None:
        table.create_checkpoint()
        self._place.settle_log(table.version(), table.version())

    def _open(self) -> DeltaTable:
        """The table, made if it is not there. Raises `Broken` when what is there is another's."""
        self._place.mend()
        try:
            table = self._load()
        except TableNotFoundError:
            table = self._create()
        have = [field.name for field in table.schema().fields]
        if have != self._schema.names or table.metadata().partition_columns != ["month"]:
            raise Broken(f"{self._place.url} holds a table of {have}, not of {self._schema.names} by month")
        return table

    def _load(self) -> DeltaTable:
        return DeltaTable(self._place.url, storage_options=self._place.options)

    def _create(self) -> DeltaTable:
        try:
            table = DeltaTable.create(
                self._place.url,
                self._schema,
                partition_by=["month"],
                configuration=_CONFIGURATION,
                storage_options=self._place.options,
            )
        except DeltaError as why:
            try:
                return self._load()  # another made it meanwhile
            except TableNotFoundError:
                raise why from None
        self._place.settle_log(0, 0)
        return table


def _follows(committed: int, after: int | None, position: int) -> bool:
    return committed < position and after in (None, committed)
