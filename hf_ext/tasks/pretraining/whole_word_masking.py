"""Masks whole words, as whatever is trained on masked tokens may."""

from hf_ext.data.whole_word_masking import DataCollatorForWholeWordMasking as DataCollatorForWholeWordMasking
