"""Trains whatever a run needs, each once, as the workflow would."""

from pathlib import Path

from tiny import CODE, HARDWARE, Folder

from plasticity.runs import Run, layout
from plasticity.training import stages
from plasticity.training.prune import make_mask
from plasticity.training.stages import Inputs


class Chain:
    """The runs that were trained in a folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def state(self, run: Run) -> Path:
        """The checkpoint of `run`, trained where it is missing."""
        place = self.folder.outputs(run).checkpoint
        if not place.exists():
            parent = self.state(run.parent) if run.parent else None
            mask = self.mask(run.ticket) if run.ticket else None
            self.folder.train(run, parent=parent, mask=mask)
        return place

    def mask(self, ticket: Run) -> Path:
        """The mask of `ticket`, pruned where it is missing."""
        path = self.folder.path / layout.mask(ticket)
        if not path.exists():
            state = self.state(ticket.pruned_from)
            make_mask(ticket, state, path, code=CODE, precision="float32", log=lambda line: None)
        return path

    def prepared(self, run: Run) -> stages.Stage:
        """The last stage of `run`, ready to be trained."""
        parent = self.state(run.parent) if run.parent else None
        mask = self.mask(run.ticket) if run.ticket else None
        files = (self.folder.train_file, self.folder.test_file, self.folder.split(run))
        return stages.prepare(run, Inputs(*files, parent, None, mask), HARDWARE, CODE, print)
