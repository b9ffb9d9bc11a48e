"""What a conversion did, for a reader."""

from dataclasses import dataclass
from pathlib import Path

from hf_ext.conversion.choices import Choice


@dataclass(frozen=True)
class ConversionReport:
    """The account of one conversion; `str(report)` is its text.

    Attributes:
        title: the family as a reader calls it.
        checkpoint: prefix of the checkpoint that was read.
        output: the folder that was written.
        architecture: name of the model class.
        choices: each decision with its reason, the family first.
        variables: variables of the checkpoint that were used, each for one parameter.
        ignored: variables of the checkpoint that belong to its training.
        parameters: parameter tensors made.
        elements: numbers in them.
        dtype: their type.
        files: name -> bytes of each file written.
    """

    title: str
    checkpoint: Path
    output: Path
    architecture: str
    choices: tuple[Choice, ...]
    variables: tuple[str, ...]
    ignored: tuple[str, ...]
    parameters: tuple[str, ...]
    elements: int
    dtype: str
    files: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.checkpoint} -> {self.output}", f"  model           {self.architecture}"]
        lines += [f"  {choice.name.replace('_', ' '):<14}  {choice}" for choice in self.choices]
        lines.append(f"  variables       {len(self.variables)} used, each once; {len(self.ignored)} ignored")
        if self.ignored:
            shown = ", ".join(self.ignored[:4]) + (", ..." if len(self.ignored) > 4 else "")
            lines.append(f"  ignored         {shown} (state of the training)")
        lines.append(f"  parameters      {len(self.parameters)} tensors, {self.elements:,} numbers, {self.dtype}")
        lines += [f"  written         {name} ({size:,} bytes)" for name, size in self.files.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class ExportReport:
    """The account of one export to an original release; `str(report)` is its text.

    Attributes:
        title: the family as a reader calls it.
        source: the model folder.
        output: the folder that was written.
        variables: variables of the checkpoint that was written.
        absent: variables of heads that a release may have and the model does not.
        dropped: parameters of the model that a release has no place for.
        elements: numbers written.
        notes: what no file of a release states, and whoever loads it has to: name -> value.
        files: name -> bytes of each file written.
    """

    title: str
    source: Path
    output: Path
    variables: tuple[str, ...]
    absent: tuple[str, ...]
    dropped: tuple[str, ...]
    elements: int
    notes: dict[str, str]
    files: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.source} -> {self.output}"]
        lines.append(f"  variables       {len(self.variables)}, {self.elements:,} numbers")
        for name, left in (("absent", self.absent), ("dropped", self.dropped)):
            if left:
                lines.append(f"  {name:<14}  {len(left)}: {', '.join(left[:4])}{', ...' if len(left) > 4 else ''}")
        lines += [f"  {name:<14}  {value} (no file states it)" for name, value in self.notes.items()]
        lines += [f"  written         {name} ({size:,} bytes)" for name, size in self.files.items()]
        return "\n".join(lines)
