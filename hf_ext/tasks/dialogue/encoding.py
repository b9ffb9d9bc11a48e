"""From the turns of a dialogue to model inputs, to train on or to answer."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from math import inf
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from hf_ext.data.input_limit import check_input_length
from hf_ext.data.token_text import join_tokens
from hf_ext.modules.encoder_config import EncoderConfig

if TYPE_CHECKING:
    from datasets import Dataset, Features

SPEAKERS = ("[speaker1]", "[speaker2]")
_INPUTS = ("input_ids", "token_type_ids", "attention_mask")


class DialogueEncoder:
    """Encodes dialogues in the layout of NEZHA-GPT or of CDial-GPT.

    - NEZHA-GPT (kexue.fm/archives/7718): ``[CLS] turn [SEP] turn [SEP] ...``; token types are 0 and 1 by turns.
    - CDial-GPT (arXiv 2008.03946): ``[CLS] [speaker1] turn [speaker2] turn ... [SEP]``; the type of a token is the id
      of its speaker's token, that of [CLS] is [CLS].

    A dialogue that is too long loses its first turns, and the count of speakers begins with the turn that is then the
    first. Where not even the two last turns fit, the first of them loses its beginning; and where the last turn alone
    is too long, it loses its end in training, [SEP] included, and its beginning when it is to be answered.

    What looks like a special token in a turn is text.

    Call it with a batch ``{"turns": [[str]]}``, or let :meth:`encode_dataset` do so, for rows to train on; labels are
    -100 where nothing is asked. :meth:`encode_context` gives what ``generate`` takes.

    Args:
        tokenizer: its texts begin with [CLS] and end with [SEP].
        speakers: the two tokens of CDial-GPT's layout; None: NEZHA-GPT's.
        max_length: tokens in a row, special ones included.
        train_on: ``"all"``: all turns are learnt; ``"last"``: only the last, as the answer to the others. [CLS] and the
            tokens of speakers are never asked for. None: as the originals, ``"all"`` for NEZHA-GPT's layout and
            ``"last"`` for CDial-GPT's.

    Raises:
        ValueError: if the tokenizer lacks a token, or an option is out of range.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        speakers: tuple[str, str] | None = None,
        max_length: int = 512,
        train_on: str | None = None,
    ):
        train_on = train_on or ("last" if speakers else "all")
        if train_on not in ("all", "last"):
            raise ValueError(f"train_on must be 'all' or 'last', got {train_on!r}")
        if max_length < 8:
            raise ValueError(f"max_length must be at least 8, got {max_length}")
        for name in ("cls_token_id", "sep_token_id", "pad_token_id"):
            if getattr(tokenizer, name) is None:
                raise ValueError(f"tokenizer must have a {name.removesuffix('_id')}, got none")
        self.tokenizer = tokenizer
        self.speakers = speakers
        self.max_length = max_length
        self.train_on = train_on
        self._cls: int = tokenizer.cls_token_id
        self._sep: int = tokenizer.sep_token_id
        self._speaker_ids: list[int] = []
        if speakers is not None:
            vocabulary = tokenizer.get_vocab()
            if missing := [token for token in speakers if token not in vocabulary]:
                raise ValueError(f"tokenizer must have the speakers' tokens {', '.join(speakers)}, it lacks {missing}")
            self._speaker_ids = [vocabulary[token] for token in speakers]

    @classmethod
    def for_config(
        cls, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, **options: Any
    ) -> "DialogueEncoder":
        """The encoder for a model's config; ``options``: ``max_length`` and ``train_on``.

        Raises:
            ValueError: if the model is no decoder that tells two speakers apart, or ``max_length`` is more than its
                table of positions has.
        """
        encoder = cls(tokenizer, speakers_of(config), **options)
        check_input_length(encoder.max_length, config)
        return encoder

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Encode dialogues to train on: ``input_ids``, ``token_type_ids``, ``attention_mask``, ``labels``, a row each.

        Raises:
            ValueError: if a dialogue is empty, or a turn is.
        """
        rows = [self._training_row(turns) for turns in self._tokenize(batch["turns"])]
        return {name: [row[name] for row in rows] for name in (*_INPUTS, "labels")}

    @property
    def features(self) -> "Features":
        """Types of the columns."""
        from datasets import Features, List, Value

        return Features({**{name: List(Value("int32")) for name in _INPUTS}, "labels": List(Value("int64"))})

    def encode_dataset(self, dataset: "Dataset", num_proc: int | None = None) -> "Dataset":
        """Encode a dataset with a column ``turns``.

        Raises:
            ValueError: if the dataset is empty, or a dialogue or a turn is.
        """
        if not len(dataset):
            raise ValueError("dataset must have at least one dialogue, got none")
        return dataset.map(
            self, batched=True, remove_columns=dataset.column_names, features=self.features, num_proc=num_proc
        )

    def encode_context(self, turns: Sequence[str], room: int = 0) -> dict[str, Any]:
        """What is said so far, to be answered: one row for ``generate``, by way of `DataCollatorForDialogue`.

        Args:
            turns: the last is the one to answer.
            room: tokens of ``max_length`` to leave for the answer.

        Returns:
            ``input_ids``, ``token_type_ids``, ``attention_mask`` and ``generated_token_type_ids``, the type of the
            answer.

        Raises:
            ValueError: if there is no turn, a turn is empty, or ``room`` leaves none for a turn.
        """
        # [CLS], and either [SEP] behind the one token that a turn has at least, or two speakers.
        left = self.max_length - room - (2 if self.speakers else 1)
        if left < 2:
            raise ValueError(
                f"room must leave tokens for a turn in max_length={self.max_length}, got {room}; "
                "ask for fewer new tokens (max_new_tokens)"
            )
        (encoded,) = self._tokenize([turns])
        kept = _fit(encoded, left, keep_beginning=False)
        ids, types, _ = self._join(kept)
        if self.speakers:
            answer = self._speaker_ids[len(kept) % 2]
            ids, types = [*ids, answer], [*types, answer]
        else:
            answer = 1 - types[-1]
        return {**_inputs(ids, types), "generated_token_type_ids": answer}

    def _training_row(self, turns: list[list[int]]) -> dict[str, list[int]]:
        kept = _fit(turns, self.max_length - (2 if self.speakers else 1), keep_beginning=True)
        ids, types, owners = self._join(kept)
        whole = len(kept[-1]) == len(turns[-1])
        if self.speakers and whole:
            ids, types, owners = [*ids, self._sep], [*types, types[-1]], [*owners, len(kept) - 1]
        elif not self.speakers and not whole:
            ids, types, owners = ids[:-1], types[:-1], owners[:-1]
        first = len(kept) - 1 if self.train_on == "last" else 0
        labels = [token if owner is not None and owner >= first else -100 for token, owner in zip(ids, owners)]
        return {**_inputs(ids, types), "labels": labels}

    def _join(self, turns: list[list[int]]) -> tuple[list[int], list[int], list[int | None]]:
        """Ids, types, and the turn that each token belongs to, None where it is never asked for."""
        ids, types = [self._cls], [self._cls if self.speakers else 0]
        owners: list[int | None] = [None]
        for number, (turn, kind) in enumerate(zip(turns, cycle(self._speaker_ids or (0, 1)))):
            ids += [kind, *turn] if self.speakers else [*turn, self._sep]
            types += [kind] * (len(turn) + 1)
            owners += [None, *[number] * len(turn)] if self.speakers else [number] * (len(turn) + 1)
        return ids, types, owners

    def _tokenize(self, dialogues: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        for turns in dialogues:
            if isinstance(turns, str) or not turns:
                raise ValueError(f"a dialogue must be a list of turns, at least one, got {turns!r}")
        texts = [turn for turns in dialogues for turn in turns]
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"a turn must be a text, got {text!r}")
        encoded: Any = self.tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        rows = iter(zip(texts, encoded["input_ids"]))
        found = [[next(rows) for _ in turns] for turns in dialogues]
        for text, ids in (row for turns in found for row in turns):
            if not ids:
                raise ValueError(f"a turn must not be empty, got {text!r}")
        return [[ids for _, ids in turns] for turns in found]


def turns_of(input_: Any) -> list[str]:
    """The turns of what a pipeline is given: a text, which is the first turn, or a mapping that has them.

    Raises:
        TypeError: if it is neither a text nor a mapping.
        ValueError: if there are no turns, or they are not texts.
    """
    if not isinstance(input_, str | Mapping):
        raise TypeError(f"inputs must be texts, or mappings with turns, got {type(input_).__name__}")
    turns = [input_] if isinstance(input_, str) else input_.get("turns")
    is_list = isinstance(turns, Sequence) and not isinstance(turns, str)
    if not is_list or not turns or not all(isinstance(turn, str) for turn in turns):
        raise ValueError(f"turns must be a list of texts, one or more, got {turns!r}")
    return list(turns)


def reply_settings(
    encoder: DialogueEncoder,
    top_p: float | None = None,
    temperature: float | None = None,
    num_beams: int | None = None,
    max_new_tokens: int = 64,
) -> dict[str, Any]:
    """How ``generate`` is to write a reply.

    Args:
        encoder: of what was said.
        top_p: and the others: as of `hf_ext.Chat`.
        temperature: the same.
        num_beams: the same.
        max_new_tokens: the same.

    Raises:
        ValueError: if an option is out of range or has no effect.
    """
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
    if temperature is not None and not 0 < temperature < inf:
        raise ValueError(f"temperature must be positive, got {temperature}")
    for name, drawn in (("top_p", top_p), ("temperature", temperature)):
        if drawn is not None and num_beams is not None:
            raise ValueError(f"{name} has no effect with num_beams, which searches; leave it out, got {drawn}")
    for name, value in (("num_beams", num_beams), ("max_new_tokens", max_new_tokens)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    search: dict[str, Any] = {"do_sample": False, "num_beams": num_beams}
    if num_beams is None:
        top_p, temperature = (value or default for value, default in ((top_p, 0.9), (temperature, 0.7)))
        search = {"do_sample": True, "top_p": top_p, "top_k": 0, "temperature": temperature}
    elif num_beams > 1:
        search["length_penalty"] = 0.0
    tokenizer: Any = encoder.tokenizer
    end = tokenizer.sep_token_id
    speakers = tokenizer.convert_tokens_to_ids(list(encoder.speakers or ()))
    return {
        **search,
        "max_new_tokens": max_new_tokens,
        "min_new_tokens": 1,
        "eos_token_id": end,
        "pad_token_id": tokenizer.pad_token_id,
        "suppress_tokens": sorted({*tokenizer.all_special_ids, *speakers} - {end}),
    }


def reply_text(tokenizer: PreTrainedTokenizerBase, ids: Any) -> str:
    """The text of a reply's tokens ``[T]``, without special ones."""
    return join_tokens(str(tokenizer.decode(ids, skip_special_tokens=True)).split())[0]


def speakers_of(config: PreTrainedConfig) -> tuple[str, str] | None:
    """The tokens by which a dialogue model tells speakers apart; None where it does so by types 0 and 1.

    Raises:
        ValueError: if it does neither, or is no left-to-right decoder of ours.
    """
    if not isinstance(config, EncoderConfig):
        raise ValueError(f"a dialogue model must be a NEZHA-GPT or CDial-GPT, got model_type={config.model_type!r}")
    if config.resolved_attention_mode != "causal":
        mode = config.resolved_attention_mode
        raise ValueError(f'a dialogue model must have attention_mode="causal", got {mode!r} in {config.model_type!r}')
    if config.model_type == "gpt_cdial":
        return SPEAKERS
    if config.type_vocab_size < 2:
        raise ValueError(
            f"a dialogue model must have two token types, to tell speakers apart, got {config.type_vocab_size} in "
            f"{config.model_type!r}"
        )
    return None


def _fit(turns: list[list[int]], room: int, keep_beginning: bool) -> list[list[int]]:
    """The last turns that fit into ``room`` tokens, of which each takes one more than it has."""
    *history, last = turns
    kept = [last[: room - 1] if keep_beginning else last[-(room - 1) :]]
    room -= len(kept[0]) + 1
    for turn in reversed(history):
        if len(turn) >= room and len(kept) == 1 and room > 1:
            turn = turn[-(room - 1) :]
        if len(turn) >= room:
            break
        kept.append(turn)
        room -= len(turn) + 1
    return kept[::-1]


def _inputs(ids: list[int], types: list[int]) -> dict[str, list[int]]:
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": [1] * len(ids)}
