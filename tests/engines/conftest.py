"""Small models, in folders."""

import pytest
from saved_tiny import saved
from transformers import AutoModelForSequenceClassification, BertModel

from hf_ext import AutoModelForSpanExtraction

FIELDS = {"length": 64, "initializer_range": 0.5, "id2label": {0: "a", 1: "b"}}


@pytest.fixture(scope="session")
def tagger(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("tagger"), AutoModelForSpanExtraction.from_config, **FIELDS)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("encoder"), BertModel, **FIELDS)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("classifier"), AutoModelForSequenceClassification.from_config, **FIELDS)
