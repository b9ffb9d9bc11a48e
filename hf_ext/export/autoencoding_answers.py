"""What a model writes again of a text from its code."""

from collections.abc import Sequence

from hf_ext.export.summary_answers import SummaryAnswers
from hf_ext.export.writing_settings import WritingSettings
from hf_ext.tasks.autoencoding.files import check_text_lengths


class AutoencodingAnswers(SummaryAnswers):
    """What "text-autoencoding" gives."""

    def rows(self, texts: Sequence[str], settings: WritingSettings) -> list[dict[str, Sequence[int]]]:
        """The inputs of the graph of each text.

        Raises:
            ValueError: if a text is longer than the model's half, or may be written longer.
        """
        half = self.config.half_length
        if settings.max_length > half:
            given = f"max_length={settings.max_length}"
            raise ValueError(f"a text must have at most half_length={half} tokens, got {given}")
        encoded = self.tokenizer(list(texts), return_attention_mask=True, verbose=False)
        check_text_lengths(texts, [len(ids) for ids in encoded["input_ids"]], half)
        return [self.inputs_of(encoded, number) for number in range(len(texts))]
