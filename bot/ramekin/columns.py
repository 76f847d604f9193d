"""Columns of progress bars whose unit differs from bar to bar."""

from rich.progress import DownloadColumn, ProgressColumn, Task, TransferSpeedColumn
from rich.text import Text


class AmountColumn(ProgressColumn):
    """How much is done of how much."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = DownloadColumn()

    def render(self, task: Task) -> Text:
        """Bytes in their usual units, tokens in full."""
        if task.fields.get("unit") != "tokens":
            return self._bytes.render(task)
        return Text(f"{int(task.completed):,}/{int(task.total or 0):,} tokens", style="progress.download")


class SpeedColumn(ProgressColumn):
    """How much is done in a second."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = TransferSpeedColumn()

    def render(self, task: Task) -> Text:
        """Bytes or tokens."""
        if task.fields.get("unit") != "tokens":
            return self._bytes.render(task)
        speed = task.finished_speed or task.speed
        return Text("?" if speed is None else f"{speed:,.0f} tokens/s", style="progress.data.speed")
