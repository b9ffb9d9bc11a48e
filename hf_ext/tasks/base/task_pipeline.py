"""What the pipelines of all tasks say of themselves to ``hf-ext predict``, and how they run a model."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from transformers.pipelines.base import Pipeline

from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.ops.precision import inference_dtype
from hf_ext.tasks.base.head import EncoderHead
from hf_ext.tasks.base.pipeline_registration import module_imported


class TaskPipeline(Pipeline):
    """A pipeline of a task, whose model runs as in evaluation."""

    found: ClassVar[str]
    """What it finds in a text: ``"entities"``."""
    command: ClassVar[str | None] = None
    """The command under ``hf-ext train`` that trains its models; None: ``hf-ext predict`` does not run it."""
    used_by: ClassVar[str | None] = None
    """Of one that ``hf-ext predict`` does not run: the command that does, and what it says of the model ``{name}``."""
    endings: ClassVar[tuple[str, ...]] = ()
    """How the names of its models' classes end; none: any encoder will do."""
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("text",),)
    """The keys of a document of ``hf-ext predict``, in any of these ways."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Keys that such a document may have beside those."""
    predict_options: ClassVar[Mapping[str, str]] = {}
    """The options of ``hf-ext predict`` that it takes, and its own names of them."""

    # Transformers declares it as None.
    model: Any

    @classmethod
    def labels(cls, config: Any) -> list[str]:
        """What a model of its tells apart, by the config; of one without labels those that every config has."""
        names = config.id2label or {}
        return [str(names[number]) for number in sorted(names)]

    @classmethod
    def suits(cls, config: Any) -> bool:
        """Whether a model whose class has such a name is one of its, by the config."""
        return True

    def run_in(self, dtype: str) -> Self:
        """Run the model in numbers of another type from now on; give it back.

        Args:
            dtype: "auto", "float32", "bfloat16" or "float16", as of `hf_ext.inference_dtype`, on the pipeline's device.

        Raises:
            ValueError: if the name is another.
        """
        self.encoder.to(inference_dtype(dtype, self.device))
        return self

    @property
    def encoder(self) -> Any:
        """The part of the model that `run_in` means: all of it, or what is below a head of ours."""
        return self.model.base_model if isinstance(self.model, EncoderHead) else self.model

    def forward(self, model_inputs: Any, **forward_params: Any) -> Any:
        """Run the model as in evaluation, whatever mode it is in."""
        with evaluation_mode(self.model):
            return super().forward(model_inputs, **forward_params)


module_imported(__name__)
