"""`hf-ext analyze dimension`: how many numbers the vectors of so many words need."""

from typing import Annotated

import typer


def dimension(
    words: Annotated[str, typer.Argument(help="Their number; or a model, whose vectors of tokens are measured.")],
    scale: Annotated[
        float | None,
        typer.Option(help="The product of the lengths of two vectors by the dimension; else 1, or what a model has."),
    ] = None,
) -> None:
    """Say how many dimensions vectors of words need: 8.33 ln N by the rule, and where the entropy of skip-gram is 0."""
    from hf_ext.analysis.embedding_dimension import embedding_dimension, skip_gram_entropy

    if words.isdecimal():
        count, size = int(words), None
    else:
        count, size, measured = _vectors(words)
        typer.echo(f"{count:,} vectors of {size} numbers; the square of their length is {measured:.4g} times that")
        scale = measured if scale is None else scale
    scale = 1.0 if scale is None else scale
    typer.echo(f"by the rule 8.33 ln N: {embedding_dimension(count):.1f}")
    typer.echo(f"exactly, at scale 1: {embedding_dimension(count, exact=True):.1f}")
    if scale != 1:
        typer.echo(f"exactly, at scale {scale:.4g}: {embedding_dimension(count, scale, exact=True):,.1f}")
    if size is not None:
        typer.echo(f"entropy of a skip-gram model of such vectors: {skip_gram_entropy(size, count, scale):.2f} nats")


def _vectors(name: str) -> tuple[int, int, float]:
    """Number, size and scale of the vectors that a model reads tokens as."""
    from transformers import AutoModel

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.data.model_name import check_model_name
    from hf_ext.training.quiet import quiet_libraries

    check_model_name(name)
    with quiet_libraries():
        model = AutoModel.from_pretrained(name)
    if not hasattr(model.config, "vocab_size"):
        raise ValueError(f"words must be a number, or a model that reads tokens, got {name}, a {type(model).__name__}")
    vectors = model.get_input_embeddings().weight.detach().double()
    size = vectors.shape[1]
    return len(vectors), size, float(vectors.norm(dim=-1).mean()) ** 2 / size
