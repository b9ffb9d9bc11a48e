"""`hf-ext analyze attention`: which tokens of a text look at which, as a heat map."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device


def attention(
    model: Annotated[str, typer.Argument(help="A model that reads tokens: a folder or a name on the Hub.")],
    text: Annotated[str, typer.Argument(help="A text that the model takes whole.")],
    output: Annotated[Path, typer.Option(help="The page or picture to write: .html or .png.")],
    layer: Annotated[int, typer.Option(help="From 0, or from -1 backwards.")] = -1,
    head: Annotated[int | None, typer.Option(help="From 0; else all, and their mean.")] = None,
    device: Device = None,
) -> None:
    """Draw the weights by which each token of a text looks at each other, in a layer of a model.

    On a page the head is chosen, and each cell tells its number. Of a model with an encoder and a decoder it is the
    encoder. GAU has one head; linear attention and token mixers have no weights, and are refused.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, AutoTokenizer

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.analysis import attention_maps, write_score_maps
    from hf_ext.analysis.map_page import check_map_file
    from hf_ext.data.model_name import check_model_name
    from hf_ext.data.text_lines import valid_unicode
    from hf_ext.training.quiet import quiet_libraries

    check_map_file(output)
    valid_unicode(text, "text")
    check_model_name(model)
    config: Any = AutoConfig.from_pretrained(model)
    if not hasattr(config, "vocab_size"):
        raise ValueError(f"model must read tokens, got {model}, a {config.model_type}")
    opener: Any = AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel
    with quiet_libraries():
        net = opener.from_pretrained(model, attn_implementation="eager", dtype=torch.float32)
        tokenizer: Any = AutoTokenizer.from_pretrained(model)
    net.to(device or torch.accelerator.current_accelerator() or "cpu")
    maps = attention_maps(net, tokenizer, text, layer, head)
    write_score_maps(output, maps, text, title="Attention")
    typer.echo(f"{len(maps)} maps of {len(maps[0].tokens)} tokens")
