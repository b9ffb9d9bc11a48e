"""A vision transformer whose patches are told apart by rotation (kexue.fm/archives/8397; arXiv 2403.13298).

Shapes: B images, C channels, P patches row by row, L = 1 + P tokens, H hidden, N heads, D head size. Parameter names
are rope-vit's, but for the head.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, ImageClassifierOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.losses.classification import classification_loss
from hf_ext.models.rope_vit.configuration_rope_vit import RoPEViTConfig
from hf_ext.models.rope_vit.layers_rope_vit import CosSin, PatchEmbedding, RoPEViTAttention, RoPEViTLayer
from hf_ext.modules.encoder_model import EncoderPreTrainedModel
from hf_ext.ops.rotary import rotary_cos_sin
from hf_ext.ops.rotary_2d import mixed_frequencies, rotary_cos_sin_2d, rotary_cos_sin_mixed
from hf_ext.transformers_private import OutputRecorder, capture_outputs

_KNOWN_KWARGS = {"output_hidden_states", "output_attentions"}


class RoPEViTPreTrainedModel(EncoderPreTrainedModel):
    """Weight initialisation and what the library may do with the models."""

    config: Any
    config_class = RoPEViTConfig
    base_model_prefix = "rope_vit"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012
    _input_embed_layer = "patch_embed"
    _no_split_modules = ["RoPEViTLayer"]  # noqa: RUF012
    # Angles of learnt frequencies would be wrong by a tenth in half precision.
    _keep_in_fp32_modules_strict = ["freqs"]  # noqa: RUF012
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": RoPEViTLayer,
        "attentions": OutputRecorder(RoPEViTAttention, index=1),
    }
    no_weight_decay = ("cls_token", "pos_embed", "freqs", "gamma_1", "gamma_2")
    """The last part of the names of parameters that are not to decay, beside biases and norms."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, RoPEViTModel):
            module.init_tables()


class RoPEViTModel(RoPEViTPreTrainedModel):
    """The vision transformer without a head."""

    def __init__(self, config: RoPEViTConfig):
        super().__init__(config)
        rows, columns = config.grid
        self.patch_embed = PatchEmbedding(config)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        self.pos_embed = nn.Parameter(torch.empty(1, rows * columns, config.hidden_size)) if config.use_ape else None
        width = config.num_attention_heads * (config.head_size // 2)
        is_mixed = config.rope_kind == "mixed"
        exact = torch.promote_types(torch.get_default_dtype(), torch.float32)
        shape = (2, config.num_hidden_layers, width)
        self.freqs = nn.Parameter(torch.empty(shape, dtype=exact)) if is_mixed else None
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.blocks = nn.ModuleList(RoPEViTLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def init_tables(self) -> None:
        """Begin with small vectors, and the frequencies of each head in a direction that is drawn."""
        for table in (self.cls_token, self.pos_embed):
            if table is not None:
                init.trunc_normal_(table, std=self.config.initializer_range)
        if self.freqs is not None:
            config = self.config
            layers = [
                mixed_frequencies(config.num_attention_heads, config.head_size, config.rope_theta).flatten(1)
                for _ in range(config.num_hidden_layers)
            ]
            init.copy_(self.freqs, torch.stack(layers, dim=1))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """As of any module, but that the frequencies stay in float32 where the model goes into half precision."""
        if self.freqs is None:
            return super()._apply(fn, recurse)
        exact = self.freqs.data
        super()._apply(fn, recurse)
        if self.freqs.element_size() < 4:
            self.freqs.data = exact.to(device=self.freqs.device, dtype=torch.float32)
        return self

    @capture_outputs
    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Encode images.

        Args:
            pixel_values: ``[B, C, height, width]``; height and width are multiples of ``patch_size``, and need not be
                those of pre-training.
            **kwargs: ``output_hidden_states`` and ``output_attentions``.

        Returns:
            ``last_hidden_state`` ``[B, 1 + P, H]``, [CLS] first, and ``pooler_output`` ``[B, H]``, that of [CLS].

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if the images have another shape.
        """
        if unknown := [name for name in kwargs if name not in _KNOWN_KWARGS]:
            raise TypeError(f"{type(self).__name__}.forward() got unexpected keyword arguments {sorted(unknown)}")
        self._check_images(pixel_values)
        weight = self.patch_embed.proj.weight
        patches = self.patch_embed(pixel_values.to(weight.dtype))
        rows, columns = patches.shape[-2:]
        hidden_states = patches.flatten(2).transpose(1, 2)
        if self.pos_embed is not None:
            hidden_states = hidden_states + self._places(rows, columns)
        first = self.cls_token.expand(len(hidden_states), -1, -1)
        hidden_states = self.dropout(torch.cat((first, hidden_states), dim=1))
        for block, rotation in zip(self.blocks, self.rotations(rows, columns)):
            hidden_states = block(hidden_states, rotation)
        hidden_states = self.norm(hidden_states)
        return BaseModelOutputWithPooling(last_hidden_state=hidden_states, pooler_output=hidden_states[:, 0])

    def rotations(self, rows: int, columns: int) -> Iterator[CosSin | None]:
        """Cos and sin ``[1, L, (N,) D/2]`` of each layer for images of so many patches; None: it does not rotate."""
        config = self.config
        dtype = torch.promote_types(self.cls_token.dtype, torch.float32)
        device = self.cls_token.device
        grid: Any = {"coordinates": config.coordinates}
        if config.coordinates == "scaled":
            grid["grid"] = config.grid
        if config.rope_kind == "mixed":
            assert self.freqs is not None
            for frequencies in self.freqs.unflatten(-1, (config.num_attention_heads, -1)).unbind(1):
                yield rotary_cos_sin_mixed(rows, columns, frequencies, prefix=1, **grid)
            return
        angles: CosSin | None = None
        if config.rope_kind == "axial":
            shape = (rows, columns, config.head_size)
            angles = rotary_cos_sin_2d(*shape, config.rope_theta, config.first_axis, prefix=1, device=device, **grid)
        elif config.rope_kind == "flat":
            # As in a text, where [CLS] has the first place.
            angles = rotary_cos_sin(
                torch.arange(1 + rows * columns, device=device)[None], config.head_size, config.rope_theta
            )
        if angles is not None:
            angles = (angles[0].to(dtype), angles[1].to(dtype))
        for _ in self.blocks:
            yield angles

    def _places(self, rows: int, columns: int) -> Tensor:
        """The learnt vectors of places ``[1, P, H]``, resized where the grid is not that of pre-training."""
        assert self.pos_embed is not None
        if (rows, columns) == self.config.grid:
            return self.pos_embed
        table = self.pos_embed.unflatten(1, self.config.grid).permute(0, 3, 1, 2)
        resized = F.interpolate(table, size=(rows, columns), mode="bicubic", align_corners=False)
        return resized.flatten(2).transpose(1, 2)

    def _check_images(self, pixel_values: Tensor) -> None:
        channels, patch = self.config.num_channels, self.config.patch_size
        if pixel_values.dim() != 4 or pixel_values.shape[1] != channels:
            raise ValueError(
                f"pixel_values must have shape [B, num_channels={channels}, height, width], "
                f"got {list(pixel_values.shape)}"
            )
        height, width = pixel_values.shape[-2:]
        if height < 1 or width < 1 or height % patch or width % patch:
            raise ValueError(
                f"pixel_values must have a height and a width that are multiples of patch_size={patch}, "
                f"got {height} and {width}; have the image processor resize or crop them to such a size"
            )


RoPEViTPreTrainedModel.base_model_class = RoPEViTModel


class RoPEViTForImageClassification(RoPEViTPreTrainedModel):
    """The vision transformer with a linear layer on [CLS]."""

    def __init__(self, config: RoPEViTConfig):
        super().__init__(config)
        self.rope_vit = RoPEViTModel(config)
        self.classifier = nn.Linear(config.hidden_size, int(config.num_labels or 0))
        self.post_init()

    @property
    def smooths_labels(self) -> bool:
        """Whether Trainer can smooth the labels: classes of which each image has one."""
        return self.config.problem_type in (None, "single_label_classification") and self.config.num_labels > 1

    @can_return_tuple
    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **kwargs: Any) -> ImageClassifierOutput:
        """Classify images ``[B, C, height, width]``: ``logits`` ``[B, K]``.

        ``labels`` are ``[B]`` class ids, ``[B, K]`` floats of several classes each, or ``[B]`` (``[B, K]``) targets of
        a regression; ``config.problem_type`` says which, or their type and ``num_labels`` do.
        """
        items = kwargs.pop("num_items_in_batch", None)
        outputs = self.rope_vit(pixel_values, return_dict=True, **kwargs)
        logits = self.classifier(outputs.pooler_output)
        loss = None
        if labels is not None:
            loss = classification_loss(logits, labels, self.config.problem_type, items)
        return ImageClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )
