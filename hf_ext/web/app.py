"""The page: a tab for each model, with its texts, files, scores of spans and tokens, and the server that shows it."""

import json
from collections.abc import Callable, Sequence
from functools import partial, wraps
from itertools import count
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hf_ext.analysis.score_maps import ScoreMap, scored_labels, span_score_maps
from hf_ext.analysis.tokenized_text import tokenized_text
from hf_ext.extras import extra
from hf_ext.web.headers import OnlyOurOwn
from hf_ext.web.heat_map import MOST_TOKENS, heat_map
from hf_ext.web.opened_model import MOST_BYTES, MOST_CHARACTERS, OpenedModel
from hf_ext.web.refusals import refusal
from hf_ext.web.result_page import result_list, result_page
from hf_ext.web.style import STYLE
from hf_ext.web.token_table import token_table

_STYLE = (
    STYLE
    + """\
.gradio-container { --hx-back: var(--background-fill-primary); }
.hx-purpose { opacity: .8; margin: .2rem 0; overflow-wrap: anywhere; }
"""
)
_LISTS = ("turns", "choices")
_RESULT = Markup('<div class="hx-result">{}</div>')


def page(models: Sequence[OpenedModel], title: str = "hf-ext") -> Any:
    """The page, as ``gradio.Blocks`` that nothing serves yet.

    Args:
        models: what it shows, a tab each.
        title: of the page.

    Raises:
        ValueError: if there is no model.
    """
    gr = _gradio()

    if not models:
        raise ValueError("models must have at least one, got none")
    # Files that were sent, and those made to be downloaded, are kept for an hour.
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        gr.Markdown(f"# {title}")
        with gr.Tabs():
            for name, model in zip(tab_names([one.name for one in models]), models):
                with gr.Tab(name):
                    gr.HTML(Markup('<p class="hx-purpose">{}</p>').format(model.purpose))
                    _model_tabs(model)
    # One text at a time: a model's answers to several would each take longer.
    blocks.queue(default_concurrency_limit=1, max_size=64)
    return blocks


def tab_names(names: Sequence[str]) -> list[str]:
    """Names of the tabs, no two alike: of several models of one name each has a number that makes it no other's."""
    shown: list[str] = []
    taken = {*names}
    for name in names:
        numbered = (f"{name} {number}" for number in count(1))
        shown.append(name if names.count(name) == 1 else next(one for one in numbered if one not in taken))
        taken.add(shown[-1])
    return shown


def serve(
    blocks: Any, host: str = "127.0.0.1", port: int | None = None, ready: Callable[[str], None] | None = None
) -> None:
    """Serve a page until it is stopped, by Ctrl-C or by ``blocks.close()``.

    Nothing outside is called, by the server or by the page: no analytics, no fonts, no link that others could use.

    Args:
        blocks: from `page`.
        host: the address to listen at; by default this machine alone.
        port: at which; None: the first from 7860 that is free.
        ready: called with the page's address when it can be opened.

    Raises:
        OSError: if the port is taken.
    """
    gr = _gradio()
    with extra("demo", "the page"):
        from starlette.middleware import Middleware

    theme = gr.themes.Default(
        font=["system-ui", "Noto Sans CJK SC", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_error=False,
        inline=False,
        max_file_size=MOST_BYTES,
        allowed_paths=[],
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        footer_links=[],
        theme=theme,
        css=_STYLE,
        app_kwargs={"middleware": [Middleware(OnlyOurOwn)], "docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    if ready is not None:
        ready(address)
    blocks.block_thread()


def takes_no_address(field: Any) -> Any:
    """Give back a field of files, which from now on refuses an address, of which Gradio would fetch what is there."""
    move = field.async_move_resource_to_block_cache

    async def moved(path: Any) -> Any:
        if path is not None and not Path(path).is_file():
            raise ValueError("a file must be sent, not named")
        return await move(path)

    field.async_move_resource_to_block_cache = moved
    return field


def _model_tabs(model: OpenedModel) -> None:
    gr = _gradio()

    with gr.Tabs():
        with gr.Tab("Text" if "image" not in model.fields else "Image"):
            _form(model)
        if "image" not in model.fields:
            with gr.Tab("File"):
                _file(model)
        if labels := scored_labels(model.pipeline.model):
            with gr.Tab("Span scores"):
                _scores(model, labels)
        if getattr(model.pipeline, "tokenizer", None) is not None:
            with gr.Tab("Tokens"):
                _tokens(model)


def _form(model: OpenedModel) -> None:
    gr = _gradio()

    fields: list[Any] = []
    for key in model.fields:
        if key == "image":
            image = gr.Image(label=key, type="filepath", sources=["upload", "clipboard"], height=240)
            fields.append(takes_no_address(image))
        else:
            several = key in _LISTS
            sample = model.sample if key == "text" else ""
            fields.append(
                gr.Textbox(
                    value=sample,
                    label=f"{key}, a line each" if several else key,
                    lines=1 if key.startswith("question") else 3,
                    max_lines=12,
                    max_length=MOST_CHARACTERS,
                )
            )
    numbers = _numbers(model)
    button, outputs = _outputs(model, "Find")

    def answer(*values: Any) -> list[Any]:
        given = dict(zip((*model.fields, *model.numbers), values))
        document = model.document({key: given[key] for key in model.fields})
        return _answered(model, [document], given, button.GRADIO_CACHE)

    _on(gr, [button.click], answer, [*fields, *numbers], outputs)


def _file(model: OpenedModel) -> None:
    gr = _gradio()

    reads = " or ".join(" and ".join(keys) for keys in model.pipeline.reads)
    kinds = [".txt", ".jsonl", ".json"]
    file = gr.File(
        label=f"A text a line, or JSON lines with {reads}", file_types=kinds, file_count="single", height=140
    )
    numbers = _numbers(model)
    button, outputs = _outputs(model, "Find in the file")

    def answer(path: str | None, *values: Any) -> list[Any]:
        if path is None:
            raise ValueError("a file must be chosen first")
        return _answered(model, model.documents_of_file(path), dict(zip(model.numbers, values)), button.GRADIO_CACHE)

    _on(gr, [button.click], answer, [file, *numbers], outputs)


def _numbers(model: OpenedModel) -> list[Any]:
    """Fields of the options, empty: what the model has."""
    gr = _gradio()

    if not model.numbers:
        return []
    with gr.Row():
        return [
            # Not gr.Number, which has 0 where it is left empty.
            gr.Textbox(label=name, placeholder="the model's own", max_length=20, min_width=120)
            for name in model.numbers
        ]


def _outputs(model: OpenedModel, action: str) -> tuple[Any, list[Any]]:
    """A button, and what comes of it: the results, and files of them, which are there when results are."""
    gr = _gradio()

    button = gr.Button(action, variant="primary")
    shown = gr.HTML(elem_classes=["hx-shown"])
    with gr.Row():
        files = [gr.DownloadButton(name, visible=False, size="sm") for name in ("JSON lines", "HTML page")]
    return button, [shown, *files]


def _answered(model: OpenedModel, documents: Sequence[dict[str, Any]], given: dict[str, Any], folder: str) -> list[Any]:
    """What `_outputs` shows of documents, and files of it in a folder that the server may send from."""
    gr = _gradio()
    with extra("demo", "the page"):
        from gradio.processing_utils import save_bytes_to_cache

    results = model.answers(documents, {name: given.get(name) for name in model.numbers})
    lines = "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in results)
    whole = result_page(results, model.found, f"{model.name}: {model.found}")
    files = [(f"{model.found}.jsonl", lines), (f"{model.found}.html", str(whole))]
    made = [save_bytes_to_cache(text.encode("utf-8"), name, folder) for name, text in files]
    return [str(result_list(results, model.found)), *(gr.update(value=path, visible=True) for path in made)]


def _scores(model: OpenedModel, labels: Sequence[str]) -> None:
    gr = _gradio()

    text = gr.Textbox(value=model.sample, label="text", lines=3, max_lines=12, max_length=MOST_CHARACTERS)
    label = gr.Dropdown(list(labels), value=labels[0], label="label")
    button = gr.Button("Show scores", variant="primary")
    shown = gr.HTML(elem_classes=["hx-shown"])

    def answer(text: str, label: str) -> list[Any]:
        document = model.document({"text": text})
        maps = span_score_maps(model.pipeline, document["text"], [label], whole=False, around=False)
        part = Markup('<p class="hx-count">{}</p><div class="hx-wide">{}</div>')
        return [str(_RESULT.format(Markup("").join(part.format(_note(one), heat_map(one)) for one in maps)))]

    _on(gr, [button.click, label.input], answer, [text, label], [shown])


def _note(one: ScoreMap) -> str:
    note = f"A row for the {one.rows}, a column for the {one.columns}; framed is what is above the threshold."
    shown = min(len(one.tokens), MOST_TOKENS)
    return f"{note} The text is cut at {shown} tokens." if one.is_cut or shown < len(one.tokens) else note


def _tokens(model: OpenedModel) -> None:
    gr = _gradio()

    text = gr.Textbox(value=model.sample, label="text", lines=3, max_lines=12, max_length=MOST_CHARACTERS)
    button = gr.Button("Show tokens", variant="primary")
    shown = gr.HTML(elem_classes=["hx-shown"])

    def answer(text: str) -> list[Any]:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"a text must have at most {MOST_CHARACTERS:,} characters, got {len(text):,}")
        tokenizer = model.pipeline.tokenizer
        return [str(_RESULT.format(token_table(tokenized_text(tokenizer, text), tokenizer.unk_token)))]

    _on(gr, [button.click], answer, [text], [shown])


def _on(gr: Any, events: list[Any], answer: Callable[..., list[Any]], inputs: list[Any], outputs: list[Any]) -> None:
    """Answer events; an error is a sentence where the results would stand, and what was there before goes."""

    @wraps(answer)
    def answered(*values: Any) -> Any:
        try:
            made = answer(*values)
        except Exception as error:
            sentence = str(_RESULT.format(refusal(error)))
            made = [sentence, *(gr.update(value=None, visible=False) for _ in outputs[1:])]
        return made[0] if len(made) == 1 else made

    once = partial(gr.on, concurrency_id="models", concurrency_limit=1, api_visibility="private")
    once(events, answered, inputs, outputs)


def _gradio() -> Any:
    with extra("demo", "the page"):
        import gradio
    return gradio
