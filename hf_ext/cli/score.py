"""`hf-ext score`: how likely a language model finds texts, and which of several candidates it would take."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.data.text_lines import texts_of, valid_unicode


def score(
    model: Annotated[
        str,
        typer.Argument(help="A language model, T-TA, masked or causal: a folder or a name on the Hub."),
    ],
    text: Annotated[
        list[str] | None,
        typer.Argument(help="Texts, with --rerank the candidates of one list; without them or --file, standard input."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A text a line, or JSON lines with a text each; with --rerank with candidates each."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write JSON lines here; else to standard output.")] = None,
    token_scores: Annotated[bool, typer.Option("--token-scores", help="Give the score of each token too.")] = False,
    special_tokens: Annotated[
        bool, typer.Option("--special-tokens", help="Count the tokens that the tokenizer adds, such as [CLS].")
    ] = False,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Order the candidates of each list by their score and the model's.")
    ] = False,
    weight: Annotated[
        float | None, typer.Option(help="Of --rerank: weight of the model's score beside the candidate's; else 1.")
    ] = None,
    tokens_per_batch: Annotated[int, typer.Option(help="Tokens run at a time, padding included.")] = 2048,
    device: Device = None,
    dtype: Dtype = "float32",
) -> None:
    """Score texts by a language model, one JSON line a text.

    {"text", "score", "tokens", "perplexity"}: the sum of the tokens' log-probabilities, from both sides for T-TA, in
    one pass, and for masked models, in a pass a token; from the left for causal ones.

    With --rerank, of {"candidates": [{"text", "score"}]}, the candidates in their new order, each with "lm_score" and
    "total".
    """
    from rich.console import Console
    from rich.progress import track
    from transformers import pipeline

    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.atomic_file import atomic_write
    from hf_ext.data.model_name import check_model_name
    from hf_ext.tasks.scoring.pipeline import perplexity
    from hf_ext.tasks.scoring.reranking import read_n_best, rerank as reordered
    from hf_ext.training.quiet import quiet_libraries

    if text and file:
        raise typer.BadParameter("give either texts or --file, got both")
    if output is not None and not output.parent.is_dir():
        raise ValueError(f"{output} must be in a folder that exists")
    if output is not None and file is not None and output.is_file() and output.samefile(file):
        raise ValueError(f"output must not be the file of the texts, got {output} for both")
    if weight is not None and not rerank:
        raise ValueError(f"weight has no effect without rerank, got {weight}; leave it out or add --rerank")
    check_model_name(model)

    given = [valid_unicode(one, "texts") for one in text or ()]
    lists: list[dict[str, Any]] = []
    if rerank:
        lists = [{"candidates": [{"text": one, "score": 0.0} for one in given]}] if given else list(read_n_best(file))
        if not lists:
            raise ValueError(f"{file or 'standard input'} must have at least one list of candidates, got none")
        texts = [candidate["text"] for one in lists for candidate in one["candidates"]]
    else:
        texts = given or list(texts_of(file))

    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    with quiet_libraries():
        scorer = make_pipeline("text-scoring", model=model, device=device).run_in(dtype)
    passes = {"one pass": "each in one pass", "masked": "each in a pass a token", "causal": "each from left to right"}
    typer.echo(f"{len(texts)} texts, {passes[scorer.prediction]}", err=True)
    options = {
        "token_scores": token_scores,
        "special_tokens": special_tokens,
        "tokens_per_batch": tokens_per_batch,
    }
    found = scorer.stream(texts, **options)
    progress = track(found, "scoring", total=len(texts), console=Console(stderr=True), disable=len(texts) < 2)
    scores = list(progress)

    def results() -> Iterator[dict[str, Any]]:
        if not rerank:
            yield from ({"text": one, **own} for one, own in zip(texts, scores))
            return
        own = iter(scores)
        for one in lists:
            measured = [next(own) for _ in one["candidates"]]
            more = [{"token_scores": each["token_scores"]} if token_scores else {} for each in measured]
            candidates = [candidate | extra for candidate, extra in zip(one["candidates"], more)]
            lm_scores = [each["score"] for each in measured]
            yield one | {"candidates": reordered(candidates, lm_scores, 1.0 if weight is None else weight)}

    lines = "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in results())
    if output is None:
        typer.echo(lines, nl=False)
    else:
        with atomic_write(output) as stream:
            stream.write(lines)
    total, tokens = sum(one["score"] for one in scores), sum(one["tokens"] for one in scores)
    if tokens and not rerank:
        typer.echo(f"{tokens} tokens, perplexity {perplexity(total, tokens):.2f}", err=True)
