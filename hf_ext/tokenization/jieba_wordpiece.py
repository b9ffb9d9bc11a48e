"""The tokenizer of WoBERT, of the RoFormer word models and of T5-PEGASUS."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import BatchEncoding
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.tokenization_utils_tokenizers import TokenizersBackend
from transformers.utils import PaddingStrategy

from hf_ext.atomic_file import atomic_write
from hf_ext.carried_code import TokenizerWithCode, write_again
from hf_ext.tokenization.backend import WordBackend
from hf_ext.tokenization.batch import LazyBatchEncoding
from hf_ext.tokenization.normalizer import bert_normalizer
from hf_ext.tokenization.rows import T, fill, pad_rows, text_items, truncated_lengths
from hf_ext.tokenization.vocabulary import check_special_tokens, check_vocabulary, read_vocabulary, write_vocabulary
from hf_ext.tokenization.word_pieces import MAX_CHARACTERS_PER_WORD


class JiebaWordPieceTokenizer(TokenizerWithCode, TokenizersBackend):
    """Words first: a word that jieba finds and the vocabulary has is one token, any other goes through WordPiece.

    Equal to bert4keras' ``Tokenizer(vocab, do_lower_case=True, pre_tokenize=lambda s: jieba.cut(s, HMM=False))``, id
    for id. Offsets point into the original text.

    A fast tokenizer in every respect (`word_ids`, `char_to_token`, overflow with a stride, pickling), with one
    difference in the files: it saves ``vocab.txt`` and ``tokenizer_config.json`` and never a ``tokenizer.json``, which
    cannot hold the segmentation.

    Args:
        vocab: entries to ids, or the path of a ``vocab.txt`` (or ``tokenizer.json``). Without one the vocabulary is the
            special tokens alone.
        do_lower_case: lower-case the text and strip accents.
        unk_token: replaces a piece that the vocabulary lacks.
        sep_token: ends a text.
        pad_token: pads rows to one length.
        cls_token: begins a row.
        mask_token: marks a token to predict; None for a vocabulary without one.
        strip_accents: strip accents, by default if ``do_lower_case``.
        tokenize_chinese_chars: accepted as configuration files have it; only True is possible.
        user_words: words to add to jieba's dictionary, see `add_words`.
        vocab_file: path of the vocabulary, if ``vocab`` is not given.
        tokenizer_file: path of a ``tokenizer.json`` whose vocabulary is used, if neither is given.

    Raises:
        ValueError: if the vocabulary lacks a special token, its ids have gaps, or a line of the file repeats another.
        TypeError: if ``vocab`` is neither a path nor a dictionary of strings to integers.

    Source: github.com/ZhuiyiTechnology/WoBERT, github.com/bojone/bert4keras.
    """

    vocab_files_names = {"vocab_file": "vocab.txt", "tokenizer_file": "tokenizer.json"}  # noqa: RUF012
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012
    model = WordPiece  # type: ignore[assignment]

    def __init__(
        self,
        vocab: str | os.PathLike[str] | Mapping[str, int] | None = None,
        do_lower_case: bool = True,
        unk_token: str | AddedToken = "[UNK]",
        sep_token: str | AddedToken = "[SEP]",
        pad_token: str | AddedToken = "[PAD]",
        cls_token: str | AddedToken = "[CLS]",
        mask_token: str | AddedToken | None = "[MASK]",
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        user_words: Iterable[str] = (),
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Any = None,
        **kwargs: Any,
    ):
        if not tokenize_chinese_chars:
            raise ValueError(
                "tokenize_chinese_chars is False; wanted True, as unknown words are always cut to characters"
            )
        if isinstance(user_words, str):
            raise TypeError(f"user_words is the string {user_words!r}; wanted a list of words")
        special = {
            "pad_token": pad_token,
            "unk_token": unk_token,
            "cls_token": cls_token,
            "sep_token": sep_token,
            "mask_token": mask_token,
        }
        if vocab is None:
            vocab = vocab_file if vocab_file is not None else tokenizer_file
        if vocab is None and tokenizer_object is not None:
            vocab = tokenizer_object.get_vocab(with_added_tokens=False)
        if vocab is None:
            if folder := kwargs.get("name_or_path"):
                raise ValueError(f"{folder} has no vocabulary; wanted a vocab.txt (or a tokenizer.json)")
            vocab = {str(token): index for index, token in enumerate(filter(None, special.values()))}
        entries = read_vocabulary(vocab) if isinstance(vocab, str | os.PathLike) else check_vocabulary(vocab)
        added = kwargs.get("added_tokens_decoder") or {}
        check_special_tokens(entries, special, {str(token) for token in added.values()})

        tokenizer = Tokenizer(
            WordPiece(entries, unk_token=str(unk_token), max_input_chars_per_word=MAX_CHARACTERS_PER_WORD)
        )
        # The originals cut words before they clean the text: control characters separate words and then go.
        tokenizer.normalizer = bert_normalizer(
            do_lower_case, clean_text=False, handle_chinese_chars=False, strip_accents=strip_accents
        )
        tokenizer.decoder = WordPieceDecoder(prefix="##")
        user_words = list(user_words)
        self._tokenizer = WordBackend(tokenizer, user_words)  # type: ignore[assignment]
        super().__init__(
            do_lower_case=do_lower_case,
            strip_accents=strip_accents,
            tokenize_chinese_chars=tokenize_chinese_chars,
            user_words=user_words,
            **special,
            **kwargs,
        )
        for index, token in added.items():
            if (found := self.backend_tokenizer.token_to_id(str(token))) != index:
                raise ValueError(
                    f"the vocabulary has {len(entries)} entries and gives {str(token)!r} the id {found}, "
                    f"but added_tokens_decoder says {index}; is vocab.txt whole?"
                )
        cls, sep = str(cls_token), str(sep_token)
        self.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{cls}:0 $A:0 {sep}:0",
            pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
            special_tokens=[(cls, self.cls_token_id), (sep, self.sep_token_id)],
        )

    @property
    def backend_tokenizer(self) -> WordBackend:  # type: ignore[override]
        """The Rust tokenizer, wrapped."""
        return self._tokenizer  # type: ignore[return-value]

    @property
    def user_words(self) -> list[str]:
        """Words added to jieba's dictionary, as normalised, in the order in which they came."""
        return list(self.backend_tokenizer.segmenter.words)

    def add_words(self, words: Iterable[str]) -> None:
        """Add words to jieba's dictionary; they are saved, pickled and copied with the tokenizer.

        A word moves boundaries, it makes no token: one that is in the vocabulary becomes reachable as a token, any
        other is cut to the vocabulary's pieces (single characters, for ideographs), as with ``jieba.add_word`` in the
        originals. For an id of its own use `add_tokens`, and resize the model's embeddings.

        Raises:
            ValueError: for a word that jieba cannot give whole: an empty one, or one with spaces or punctuation.
        """
        if isinstance(words, str):
            raise TypeError(f"words is the string {words!r}; wanted a list of words")
        self.backend_tokenizer.add_words(words)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **kwargs: Any
    ) -> list[str]:
        """The tokens of a text, as strings."""
        ids = self.encode(text, pair, add_special_tokens=add_special_tokens, **kwargs)
        return [str(token) for token in self.convert_ids_to_tokens(ids)]

    def _encode_plus(self, text: Any, text_pair: Any = None, **arguments: Any) -> BatchEncoding:  # type: ignore[override]
        batch = self._encode_ids(text, text_pair, **arguments)
        return batch if batch is not None else super()._encode_plus(text, text_pair, **arguments)

    def _encode_ids(
        self,
        text: Any,
        text_pair: Any,
        add_special_tokens: bool = True,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        truncation_strategy: TruncationStrategy = TruncationStrategy.DO_NOT_TRUNCATE,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_offsets_mapping: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        split_special_tokens: bool | None = None,
        verbose: bool = True,
        **others: Any,
    ) -> BatchEncoding | None:
        """The batch without encodings; None for what only encodings tell, and for wrong arguments."""
        items = None if any(others.values()) else text_items(text, text_pair)
        if items is None:
            return None
        backend = self.backend_tokenizer
        if split_special_tokens is None:
            split_special_tokens = self.split_special_tokens
        if backend.encode_special_tokens != split_special_tokens:
            backend.encode_special_tokens = split_special_tokens
        truncate = truncation_strategy != TruncationStrategy.DO_NOT_TRUNCATE
        rows: list[list[int]] = []
        types: list[list[int]] = []
        offsets: list[list[tuple[int, int]]] = []
        for item in items:
            template = backend.template(len(item) == 2, add_special_tokens)
            if template is None:
                return None
            contents = [backend.content(part, return_offsets_mapping) for part in item]
            ids, spans = [content[0] for content in contents], [content[1] for content in contents]
            if truncate:
                limit = (max_length or 0) - template.size
                lengths = truncated_lengths([len(part) for part in ids], limit, truncation_strategy.value)
                if lengths is None:
                    return None
                ids = [self._truncated(part, length) for part, length in zip(ids, lengths)]
                spans = [self._truncated(part, length) for part, length in zip(spans, lengths)]
            rows.append(fill(template.ids, ids))
            types.append(fill(template.type_ids, [[t] * len(part) for t, part in zip(template.text_type_ids, ids)]))
            if return_offsets_mapping:
                offsets.append(fill([[(0, 0)] * len(special) for special in template.ids], spans))

        self._eventual_warn_about_too_long_sequence(max(rows, key=len), max_length, verbose)
        names = self.model_input_names
        data: dict[str, Any] = {"input_ids": rows}
        if return_token_type_ids or (return_token_type_ids is None and "token_type_ids" in names):
            data["token_type_ids"] = types
        if return_attention_mask or (return_attention_mask is None and "attention_mask" in names):
            data["attention_mask"] = [[1] * len(row) for row in rows]
        if return_offsets_mapping:
            data["offset_mapping"] = offsets
        if padding_strategy != PaddingStrategy.DO_NOT_PAD:
            longest = max(map(len, rows))
            length = max_length or longest if padding_strategy == PaddingStrategy.MAX_LENGTH else longest
            padding = {
                "input_ids": self.pad_token_id,
                "token_type_ids": self.pad_token_type_id,
                "attention_mask": 0,
                "offset_mapping": (0, 0),
            }
            left = (padding_side or self.padding_side) == "left"
            data = {name: pad_rows(data[name], length, pad_to_multiple_of, padding[name], left) for name in data}

        batched = not isinstance(text, str)
        source = partial(
            self._make_encodings,
            self._encoding_state,
            items,
            add_special_tokens,
            split_special_tokens,
            padding_strategy=padding_strategy,
            truncation_strategy=truncation_strategy,
            max_length=max_length,
            stride=0,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
        )
        if not batched and return_tensors is None:
            data = {name: values[0] for name, values in data.items()}
        return LazyBatchEncoding(data, tensor_type=return_tensors, n_sequences=len(items[0]), source=source)

    def _truncated(self, content: list[T], length: int) -> list[T]:
        return content[-length or len(content) :] if self.truncation_side == "left" else content[:length]

    @property
    def _encoding_state(self) -> tuple[Any, ...]:
        """What decides the encodings of a batch besides the arguments of the call."""
        return self.backend_tokenizer.generation, self.truncation_side, self._special_tokens_map["pad_token"]

    def _make_encodings(
        self,
        state: tuple[Any, ...],
        items: Sequence[Sequence[str]],
        add_special_tokens: bool,
        split_special_tokens: bool,
        **settings: Any,
    ) -> Sequence[Encoding]:
        if self._encoding_state != state:
            raise RuntimeError(
                "the tokenizer's tokens, words or settings changed after this batch was encoded, so its encodings can "
                "no longer be made; encode it again, or read batch.encodings before the change"
            )
        self.set_truncation_and_padding(**settings)
        self.backend_tokenizer.encode_special_tokens = split_special_tokens
        inputs = [tuple(item) if len(item) == 2 else item[0] for item in items]
        return self.backend_tokenizer.encode_batch(inputs, add_special_tokens=add_special_tokens)

    def train_new_from_iterator(self, text_iterator: Any, vocab_size: int, *arguments: Any, **kwargs: Any) -> Any:
        """Train a vocabulary on jieba's words; see `TokenizersBackend.train_new_from_iterator`."""
        segmented = (self._segment(batch) for batch in text_iterator)
        return super().train_new_from_iterator(segmented, vocab_size, *arguments, **kwargs)

    def _segment(self, texts: Any) -> Any:
        if not isinstance(texts, str):
            return [self._segment(text) for text in texts]
        return " ".join(self.backend_tokenizer.segmenter.cut(self.backend_tokenizer.normalizer.normalize_str(texts)))

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        """Write ``vocab.txt``, without added tokens, and return its path."""
        path = os.path.join(save_directory, f"{filename_prefix}-vocab.txt" if filename_prefix else "vocab.txt")
        write_vocabulary(self.backend_tokenizer.get_vocab(with_added_tokens=False), path)
        return (path,)

    def _save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        file_names: tuple[str, ...],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
    ) -> tuple[str, ...]:
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        # The base class leaves added tokens to the tokenizer.json that is not written here.
        config_file = Path(save_directory, f"{prefix}tokenizer_config.json")
        config = json.loads(config_file.read_text(encoding="utf-8"))
        for name in ("is_local", "local_files_only"):
            # Of where the tokenizer came from, which the base class saves with what it is.
            config.pop(name, None)
        config["added_tokens_decoder"] = {
            str(index): token.__getstate__() for index, token in sorted(self.added_tokens_decoder.items())
        }
        with atomic_write(config_file) as file:
            file.write(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        # One from another class in the same folder would win over vocab.txt, and segment otherwise where this class is
        # not known.
        Path(save_directory, f"{prefix}tokenizer.json").unlink(missing_ok=True)
        vocabulary = self.save_vocabulary(str(save_directory), filename_prefix)
        write_again(self.auto_map_of_code, save_directory)
        return file_names + vocabulary
